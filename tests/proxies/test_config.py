"""The configuration of a profiling run: read, and refused with the field, its value and what is allowed."""

from __future__ import annotations

import pytest

from robatch.instances import InputError
from robatch.proxies import read_config

GOOD = """
[task]
generate = "support"
queries = 8

[run]
batch_sizes = [1, 2]

[[models]]
name = "m"
server = "http://127.0.0.1:9/v1"
model = "m"
price_in = 0.1
price_out = 0.2
context_window = 1024
"""


def write(folder, text):
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_one_is_read(tmp_path):
    config = read_config(write(tmp_path, GOOD))
    assert len(config.queries) == 8
    assert config.models[0].batch_sizes == (1, 2)
    assert config.models[0].price_out == 0.2


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("price_in = 0.1", "price_in = -0.1", "price_in is -0.1"),
        ("price_in = 0.1", 'price_in = "free"', "price_in is 'free'"),
        ("price_in = 0.1", "price_in = nan", "price_in is nan"),
        ("price_in = 0.1\n", "", "price_in"),
        ("batch_sizes = [1, 2]", "batch_sizes = []", "batch_sizes"),
        ("batch_sizes = [1, 2]", "batch_sizes = [0]", "batch_sizes"),
        ("batch_sizes = [1, 2]", "batch_sizes = [2, 2]", "batch_sizes"),
        ("queries = 8", "querries = 8", "querries"),
        ('generate = "support"', 'generate = "poems"', "poems"),
        ('generate = "support"\nqueries = 8', 'file = "none.jsonl"', "none.jsonl"),
        ('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "no-such-folder"', "no-such-folder"),
        ('server = "http://127.0.0.1:9/v1"', 'server = "ftp://x"', "ftp://x"),
        ("context_window = 1024", "context_window = 0", "context_window is 0"),
        ("[[models]]", "[models]", "models"),
        ("[task]", "[task", "TOML"),
    ],
)
def test_bad_ones_are_refused(tmp_path, old, new, complaint):
    assert old in GOOD
    with pytest.raises(InputError, match=complaint):
        read_config(write(tmp_path, GOOD.replace(old, new)))


def test_two_models_of_one_name_and_a_missing_file(tmp_path):
    block = GOOD[GOOD.index("[[models]]") :]
    with pytest.raises(InputError, match="'m'"):
        read_config(write(tmp_path, GOOD + block))
    with pytest.raises(InputError, match=r"cannot read the configuration .*nothing.toml.: there is no such file"):
        read_config(tmp_path / "nothing.toml")
