import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import InputError, Model, Problem, generate, read


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_round_trip(random_problem, tmp_path_factory, seed, factored):
    problem = random_problem(np.random.default_rng(seed), factored)
    path = tmp_path_factory.mktemp("round") / "problem.parquet"
    problem.write(path)
    assert read(path) == problem


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factored", [True, False])
def test_types_ids_and_shared_retention_are_kept(tmp_path, dtype, factored):
    problem = generate(queries=20, models=3, batch_sizes=(1, 3), seed=4, dtype=dtype, factored=factored)
    for ids in ([f"q{i}" for i in range(20)], np.arange(20) * 7):
        problem = problem.replace(query_ids=ids, groups=np.arange(20) % 3)
        problem.write(tmp_path / "p.parquet")
        back = read(tmp_path / "p.parquet")
        assert back == problem
        assert back.dtype == dtype
        assert back.query_ids.tolist() == list(ids)
        assert (back.utility is None) == factored
        assert back.utilities().tolist() == problem.utilities().tolist()


def test_models_are_kept(tmp_path):
    models = [Model("naïve/模型", 0.1, 0.3, 12.5, 4096, (2, 7)), Model("b", 0, 0, batch_sizes=(1,))]
    problem = Problem(models, [1], [2], utility=[[0.1, 0.2, 0.3]])
    problem.write(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet").models == tuple(models)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"cannot read '.*none.parquet': there is no such file"):
        read(tmp_path / "none.parquet")


@pytest.mark.parametrize("kept", [0, 4, 0.5, -1])
def test_a_truncated_file(small, tmp_path, kept):
    path = tmp_path / "p.parquet"
    small().write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match="not a complete Parquet file") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_foreign_parquet_files(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match="does not hold a problem written by robatch"):
        read(path)
    for content, message in [
        (b'{"kind": "plan"}', "holds 'plan' data: a file with a problem is needed"),
        (b"[]", "does not hold a problem written by robatch"),
        (b"{", "does not hold a problem written by robatch"),
        (b'{"kind": "problem", "version": 99}', "format version 99: only \\(1, 2, 3\\) are known"),
        (b'{"kind": "problem", "version": 1}', "broken metadata: 'models'"),
        (
            b'{"kind": "problem", "version": 1, "models": [], "columns": {}, "retention": null}',
            "broken metadata",
        ),
        (
            b'{"kind": "problem", "version": 1, "models": [3], "columns": {}, "retention": []}',
            "broken metadata",
        ),
    ]:
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"robatch": content}), path)
        with pytest.raises(InputError, match=message):
            read(path)


def test_missing_cells_are_found(small, tmp_path):
    path = tmp_path / "p.parquet"
    small().write(path)
    table = pq.read_table(path)
    place = table.column_names.index("utility|weak|4")
    column = pa.array([0.1, None, 0.2, 0.3])
    pq.write_table(table.set_column(place, "utility|weak|4", column), path)
    with pytest.raises(InputError, match="missing cells or columns in utility"):
        read(path)
    pq.write_table(table.drop_columns(["utility|strong|2"]), path)
    with pytest.raises(InputError, match="missing cells or columns in utility"):
        read(path)


def test_an_unwritable_place(small, tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*: No such file or directory"):
        small().write(tmp_path / "none" / "p.parquet")
    with pytest.raises(InputError, match="it is a directory"):
        small().write(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="cannot write"):
        small().write(tmp_path / "file" / "p.parquet")


def test_nothing_is_left_half_written(small, tmp_path, monkeypatch):
    path = tmp_path / "p.parquet"
    small().write(path)
    before = path.read_bytes()

    def fail(table, where, **_):
        where.write(b"PAR1 half of it")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(InputError, match="No space left on device"):
        small(input_tokens=[1, 1, 1, 1]).write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.parquet"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the threads of a process are counted in Linux's way")
@pytest.mark.parametrize("read", ["problem_file.read(path)", "table_files.read_columns(path, 'table', None).get(0)"])
def test_a_small_file_starts_no_threads(tmp_path: Path, read: str) -> None:
    # which would abort a process that ends while they start: a command whose options are refused
    generate("ties", queries=12, models=2, batch_sizes=(1, 4)).write(tmp_path / "p.parquet")
    code = f"""
import os, sys
import pyarrow.parquet
from robatch.instances import problem_file, table_files
path = sys.argv[1]
before = len(os.listdir("/proc/self/task"))
{read}
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "p.parquet"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
