"""The dry run: what it counts is what the run then asks."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.proxies import read_config
from robatch.proxies.profiling.estimate import as_json, estimate

CONFIG = """
[[tasks]]
generate = "reviews"
queries = 10
max_output_tokens = 6

[[tasks]]
generate = "arithmetic"
queries = 5

[run]
batch_sizes = [1, 4]
repeats = 2

[[models]]
name = "m"
server = "http://127.0.0.1:9/v1"
model = "m"
price_in = 2.0
price_out = 10.0
context_window = 1024
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_calls_tokens_and_dollars(config):
    reviews, sums = estimate(read_config(config))
    assert (reviews.task, reviews.calls) == ("reviews", 1 + 2 * (10 + 3))
    assert (sums.task, sums.calls) == ("arithmetic", 1 + 2 * (5 + 2))
    assert reviews.output_tokens == 1 + 2 * 2 * 10 * 6
    assert reviews.counted == "4 characters a token"
    task = read_config(config).tasks[0]
    shared, texts = len(task.template.shared()), sum(len(query.text) for query in task.queries)
    assert reviews.input_tokens > (reviews.calls * shared + 4 * texts) / 4
    assert reviews.usd == pytest.approx((2 * reviews.input_tokens + 10 * reviews.output_tokens) / 1e6)
    total = as_json((reviews, sums))["total"]
    assert total["calls"] == reviews.calls + sums.calls
    assert total["usd"] == reviews.usd + sums.usd


def test_a_tokenizer_at_hand_counts(config, tmp_path):
    import tokenizers

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    config.write_text(CONFIG.replace('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "model"'))
    found = estimate(read_config(config))[1]
    task = read_config(config).tasks[1]
    shared, slots = len(task.template.shared().split()), sum(1 + len(query.text.split()) for query in task.queries)
    assert found.counted == "tokenizer"
    assert found.input_tokens == found.calls * shared + 2 * 2 * slots


def test_the_command_needs_no_output_and_asks_nobody(config):
    runner = CliRunner()
    shown = runner.invoke(main, ["profile", str(config), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "at most" in shown.output
    assert "An estimate at 4 characters a token" in shown.output
    printed = runner.invoke(main, ["profile", str(config), "--dry-run", "--json"])
    assert json.loads(printed.output)["total"]["calls"] == 27 + 15
    missing = runner.invoke(main, ["profile", str(config)])
    assert missing.exit_code == 2
    assert "--output" in missing.output
