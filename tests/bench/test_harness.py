"""The harness under every benchmark, on one whose rows cost nothing: resuming, records, failures, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from robatch.bench.common.compilation import Small, WarmUp
from robatch.bench.common.harness import Benchmark, check_entries
from robatch.bench.common.record import Record
from robatch.bench.common.results import Results
from robatch.bench.common.rows import Key, Row, compare
from robatch.bench.common.terminal import Column, LiveTerminal, fixed_table
from robatch.instances import InputError, generate

CELLS = [[(name, "amortized", 0.5, solver) for solver in ("cheapest", "best")] for name in ("a", "b")]
KEYS = [key for cell in CELLS for key in cell]
SETTINGS = {"solvers": {"cheapest": "1", "best": "1"}, "time_limit": 5.0}
FACTS: dict[str, Any] = {
    "source": "given", "queries": 4, "models": 2, "states": 4, "budget": 1.0, "solver_version": "1",
    "status": "feasible",
}  # fmt: skip


@dataclass(frozen=True)
class Table(Results[Row]):
    """Results that are quick to write."""

    FILES = ("results.csv",)

    def contents(self) -> dict[str, str | bytes]:
        return {"results.csv": self.csv()}


class Terminal(LiveTerminal[Row]):
    columns = (
        Column("budget", 6, lambda row: f"{row.budget_fraction}"),
        Column("solver", 8, lambda row: row.solver, words=True),
        Column("utility", 8, lambda row: f"{row.utility}", left_out=0),
    )

    def heading(self, row: Row) -> str:
        return f"[bold]{row.instance}[/bold]"

    def ending(self, rows: Sequence[Row]) -> Iterable[str]:
        return (f"{len(rows)} rows in all",)


class Counting(Benchmark[Row, Table]):
    """Counts what it measures; `do` is called with the count before each."""

    row, terminal, results = Row, Terminal, Table

    def __init__(self, do: Callable[[int], None] = lambda _: None, **settings: Any) -> None:
        super().__init__({**SETTINGS, **settings})
        self.measured: list[Key] = []
        self._do = do

    def cells(self) -> list[list[Key]]:
        return CELLS

    def small(self, key: Key) -> Small:
        return Small("ties", lambda queries: generate("ties", min(queries, 4)), None, key[3], "amortized")

    def measure(self, keys: Sequence[Key], rows: Mapping[Key, Row], working: Callable[[str], None]) -> Iterator[Row]:
        for key in keys:
            assert key not in rows
            self._do(len(self.measured))
            self.measured.append(key)
            instance, cost, fraction, solver = key
            working(f"{instance} {solver}")
            facts = {**FACTS, "instance": instance, "cost": cost, "budget_fraction": fraction, "solver": solver}
            yield Row(**facts, utility=1.0 + KEYS.index(key), bound=10.0)

    def compare(self, rows: Iterable[Row]) -> list[Row]:
        return compare(rows)


def lines(folder: Path) -> list[str]:
    return (folder / "rows.jsonl").read_text().splitlines()


def interrupted(count: int) -> None:
    if count == 3:
        raise KeyboardInterrupt


def test_rows_are_measured_kept_compared_and_written(tmp_path: Path) -> None:
    benchmark = Counting()
    results = benchmark.run(tmp_path / "new" / "results", command="robatch bench counting")
    assert benchmark.measured == KEYS == [row.key for row in results.rows]
    assert [row.gap for row in results.rows] == [0.9, 0.8, 0.7, 0.6]
    assert results.compiled_s >= 0.0
    assert sorted(path.name for path in (tmp_path / "new" / "results").iterdir()) == ["results.csv", "rows.jsonl"]
    assert results.to_json()["command"] == "robatch bench counting"
    assert {"cpu", "python", "packages"} <= set(results.machine)
    assert Counting().run(None).rows == results.rows


def test_resumes_after_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Counting(interrupted).run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    kept = lines(tmp_path)
    assert len(kept) == 1 + 3
    rest = Counting()
    results = rest.run(tmp_path)
    assert rest.measured == [CELLS[1][1]]
    assert lines(tmp_path)[:4] == kept
    again = Counting()
    assert again.run(tmp_path) == results
    assert again.measured == []
    assert again.run(tmp_path).compiled_s == 0.0


def test_each_kind_that_is_measured_is_warmed_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    monkeypatch.setattr(WarmUp, "run", lambda _, small: warmed.append(small.solver))
    Counting().run(None)
    assert warmed == ["cheapest", "best"]
    monkeypatch.setattr(Counting, "refusal", lambda *_: "it is refused")
    Counting().run(None)
    assert warmed == ["cheapest", "best"]


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    first = Counting().run(tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    rest = Counting()
    second = rest.run(tmp_path)
    assert rest.measured == [CELLS[1][1]]
    assert second.rows[:3] == first.rows[:3]
    assert len(lines(tmp_path)) == 5


def test_other_settings_are_refused_or_start_afresh(tmp_path: Path) -> None:
    Counting().run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"time_limit was 5\.0, and is 6\.0.*choose another folder"):
        Counting(time_limit=6.0).run(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    fresh = Counting(time_limit=6.0)
    assert fresh.run(tmp_path, resume=False).settings["time_limit"] == 6
    assert len(fresh.measured) == 4
    assert len(lines(tmp_path)) == 5


@pytest.mark.parametrize(
    "content",
    [
        "something else\n",
        '{"other": 1}\n',
        "[]\n",
        '{"benchmark": "gap"}\n{"row": 3}\n',
        '{"benchmark": "scale", "version": 1}\n',
    ],
)
def test_a_foreign_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(InputError, match="no record of a benchmark"):
        Counting().run(tmp_path)
    assert (tmp_path / "rows.jsonl").read_text() == content


def test_one_run_at_a_time(tmp_path: Path) -> None:
    record = Record(tmp_path, Row, {"a": 1}, {"cpu": 1})
    with pytest.raises(InputError, match="another run"):
        Counting().run(tmp_path)
    record.close()


def test_what_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Counting().run(tmp_path)
    assert capsys.readouterr() == ("", "")
    Counting().run(tmp_path, resume=False, progress=True)
    shown = capsys.readouterr().out
    assert shown.count("before anything was timed") == 1
    assert shown.index("before anything was timed") < shown.index("a\n") < shown.index("b\n")
    assert shown.rstrip().endswith("4 rows in all")
    Counting().run(tmp_path, progress=True)
    shown = capsys.readouterr().out
    assert "4 of 4 rows are taken from an earlier run." in shown
    assert "before anything was timed" not in shown


def test_a_narrow_terminal_leaves_columns_out() -> None:
    row = next(iter(Counting().run(None).rows))
    titles = [
        [str(column.header) for column in fixed_table(Terminal.columns, [row], width=w).columns] for w in (80, 20)
    ]
    assert titles == [["budget", "solver", "utility"], ["budget", "solver"]]


@pytest.mark.parametrize(
    ("values", "words"), [([], "at least one entry"), (["a", "a"], "only once"), ("ab", "things is 'ab'")]
)
def test_lists_that_are_refused(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_entries(things=values)
