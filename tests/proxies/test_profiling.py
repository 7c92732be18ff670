"""The profiling run around the engine: packing, resuming, refusing. Real engines are tested in tests/vllm."""

from __future__ import annotations

import pytest

from robatch.instances import InputError
from robatch.proxies import Measurements, ModelAnswer, pack, profile, profiling, read_config
from robatch.solvers import solve, verify

CONFIG = """
[task]
generate = "support"
queries = 10

[run]
batch_sizes = [1, 4]
seed = 7

[[models]]
name = "echo"
server = "http://127.0.0.1:9/v1"
model = "echo"
price_in = 0.5
price_out = 1.0
context_window = 4096
"""


class Scripted:
    """Stands for a model: always answers "billing", and stops the run when told to."""

    chunk = 2

    def __init__(self, calls_left: float = float("inf")) -> None:
        self.left, self.asked = calls_left, 0

    def run(self, calls):
        answers = []
        for call in calls:
            slots = call.prompt.count("\nQ") - call.prompt.count("\nQ:")
            if slots and self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked += slots > 0
            text = "\n".join(f"A{i}: billing" for i in range(1, slots + 1))
            answers.append(ModelAnswer(text, 100 + 20 * slots, 5 * slots or 1, 0.1, "stop"))
        return answers

    def describe(self):
        return {"engine": "scripted"}

    def close(self):
        pass


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_calls_are_a_seeded_partition():
    calls = pack(10, 4, seed=3)
    assert [len(call) for call in calls] == [4, 4, 2]
    assert sorted(i for call in calls for i in call) == list(range(10))
    assert calls == pack(10, 4, seed=3)
    assert calls != pack(10, 4, seed=4)
    assert [i for call in calls for i in call] != [i for call in pack(10, 2, seed=3) for i in call]


def test_rows_say_what_happened(config, tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "_open", lambda *_: Scripted())
    measurements = profile(config, tmp_path / "m.parquet")
    rows = measurements.table.to_pylist()
    truth = {query.id: query.answer for query in read_config(config).queries}
    assert len(rows) == 20
    for row in rows:
        assert row["correct"] == (truth[row["query_id"]] == "billing")
        assert row["shared_tokens"] == 100
        assert row["input_tokens"] == 20
        assert row["output_tokens"] == 5
        assert row["call_input_tokens"] == 100 + 20 * row["call_size"]
    share = {record["batch_size"]: record["shared_cost_share"] for record in measurements.summary()}
    assert share[1] == pytest.approx(100 * 0.5 / (120 * 0.5 + 5 * 1.0))
    problem = measurements.to_problem()
    assert problem.utilities().sum() == sum(row["correct"] for row in rows)
    plan = solve(problem, problem.dearest_budget, "highs")
    verify(problem, plan)
    assert Measurements.read(tmp_path / "m.parquet").table.equals(measurements.table)


def test_a_stopped_run_goes_on_where_it_was(config, tmp_path, monkeypatch):
    output = tmp_path / "m.parquet"
    first, second = Scripted(calls_left=7), Scripted()
    engines = iter([first, second])
    monkeypatch.setattr(profiling, "_open", lambda *_: next(engines))
    with pytest.raises(KeyboardInterrupt):
        profile(config, output)
    assert not output.exists()
    part = next(tmp_path.glob("*.part.jsonl"))
    with part.open("ab") as file:  # the process died while writing a line
        file.write(b'{"model": "echo", "batch_si')
    measurements = profile(config, output)
    assert measurements.table.num_rows == 20
    assert 0 < second.asked < 13
    assert first.asked + second.asked >= 13
    assert not part.exists()


def test_another_configuration_does_not_go_on(config, tmp_path, monkeypatch):
    output = tmp_path / "m.parquet"
    monkeypatch.setattr(profiling, "_open", lambda *_: Scripted(calls_left=4))
    with pytest.raises(KeyboardInterrupt):
        profile(config, output)
    config.write_text(CONFIG.replace("seed = 7", "seed = 8"), encoding="utf-8")
    with pytest.raises(InputError, match="another configuration"):
        profile(config, output)


def test_foreign_files_are_refused(config, tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"m\.parquet"):
        profile(config, tmp_path / "m.parquet")
    with pytest.raises(InputError, match="cannot write"):
        profile(config, tmp_path / "no" / "m.parquet")


def test_a_server_that_is_not_there_is_one_sentence(config, tmp_path):
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        profile(config, tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()
