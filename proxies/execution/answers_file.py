"""The file of the answers: one line a query, in the order in which the journal has them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.execution.state import Execution
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.queries import Query

_TOGETHER = 1000  # lines


class AnswersFile:
    """Writes the answers of an execution, and mends the file of an earlier run by the journal."""

    def __init__(self, file: Journal, state: Execution, queries: Sequence[Query]) -> None:
        self._file, self._state, self._queries = file, state, queries

    def restore(self, over: Sequence[int]) -> None:
        """Let the file hold the finished queries: its lines are kept up to the first that differs or is damaged."""
        whole = lines = 0  # queries and lines that are kept
        with suppress(InputError):
            found = self._file.lines()
            for query in over:
                wanted = [(id, self._answer(query)) for id in self._ids(query)]
                got = list(islice(found, len(wanted)))
                if [(line.get("id"), line.get("answer")) for line in got] != wanted:
                    break
                asked = query in self._state.final
                if any(asked == (line.get("status") == "unanswered") for line in got):
                    break
                whole, lines = whole + 1, lines + len(wanted)
        self._file.keep(lines)
        self.write(over[whole:])

    def write(self, finished: Sequence[int]) -> None:
        """Add finished queries."""
        for start in range(0, len(finished), _TOGETHER):
            self._file.append([line for query in finished[start : start + _TOGETHER] for line in self._lines(query)])

    def remove(self) -> None:
        """Delete the file."""
        self._file.remove()

    def _ids(self, query: int) -> tuple[str, ...]:
        """Return the id of a query, and those of the rows that repeat its text."""
        id = self._queries[query].id
        return (id, *self._state.routed.copies.get(id, ()))

    def _answer(self, query: int) -> str | None:
        return self._state.final[query][1] if query in self._state.final else None

    def _lines(self, query: int) -> list[dict[str, Any]]:
        """Return the line of a finished query, and a copy of it for each row that repeats its text, at no cost."""
        line = self._line(query)
        return [line, *(line | {"id": id, "cost": 0.0, "copy_of": line["id"]} for id in self._ids(query)[1:])]

    def _line(self, query: int) -> dict[str, Any]:
        """Return the line of a finished query."""
        state = self._state
        line: dict[str, Any] = {"id": self._queries[query].id, "answer": None, "status": "unanswered"}
        cost = float(state.paid[query])
        if query not in state.final:
            return line | {"error": "too little budget was left to ask", "cost": cost}
        call, answer, error = state.final[query]
        name, size = state.routed.problem.states[call.column]
        line |= {"answer": answer, "status": "unread" if answer is None else "answered"}
        line |= {"model": name, "batch_size": size, "call": call.number, "call_size": call.size}
        known = state.done.tokens(call.number)
        if known is not None:
            line |= {"input_tokens": known[0] / call.size, "output_tokens": known[1] / call.size}
        return line | {"cost": cost} | ({} if error is None else {"error": error})
