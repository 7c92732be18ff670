"""The file of the answers: one line a query, in the order in which the journal has them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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
        kept = 0
        with suppress(InputError):
            for line, query in zip(self._file.lines(), over, strict=False):
                asked = query in self._state.final
                answer = self._state.final[query][1] if asked else None
                if (line.get("id"), line.get("answer")) != (self._queries[query].id, answer):
                    break
                if asked == (line.get("status") == "unanswered"):
                    break
                kept += 1
        self._file.keep(kept)
        self.write(over[kept:])

    def write(self, finished: Sequence[int]) -> None:
        """Add finished queries."""
        for start in range(0, len(finished), _TOGETHER):
            self._file.append([self._line(query) for query in finished[start : start + _TOGETHER]])

    def remove(self) -> None:
        """Delete the file."""
        self._file.remove()

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
