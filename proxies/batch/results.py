"""Results of a batch as files hold them: a line a request, in any order, whole or damaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError, why_unreadable
from robatch.proxies.batch.requests import of_custom_id

NOT_RUN = ("batch_expired", "batch_cancelled")
"""Codes of requests that were not run before their batch ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a line says of one request.

    Attributes
    ----------
    key, call
        The batch and the call, by the request's id.
    status
        HTTP status; None where none is given.
    reply
        The body of the response, or the error in place of one, as `robatch.proxies.engines.reply` reads it.
    failed
        Whether it tells of a failure.
    not_run
        Whether the request was not run at all, as its batch ended before.
    """

    key: str
    call: int
    status: int | None
    reply: Mapping[str, Any]
    failed: bool
    not_run: bool


@dataclass
class FileCount:
    """Lines of files of results that are of no use, and why."""

    foreign: int = 0  # of other batches or other software
    unreadable: int = 0
    cut: int = 0  # files whose last line is not whole


def read_results(path: Path, count: FileCount) -> Iterator[Result]:
    """Yield the results of a file; what is of no use is counted.

    Raises
    ------
    InputError
        If it cannot be read, or holds requests.
    """
    try:
        with path.open("rb") as file:
            yield from parse_results(file, count, str(path))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {why_unreadable(error)}") from None


def parse_results(lines: Iterable[bytes], count: FileCount, name: str) -> Iterator[Result]:
    """Yield the results that some lines hold; see `read_results`."""
    for raw in lines:
        text = raw.decode("utf-8-sig", "replace").strip()
        if not text:
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, Mapping):
            torn = not raw.endswith(b"\n")
            count.cut += torn
            count.unreadable += not torn
            continue
        if "body" in record and "method" in record:
            raise InputError(f"{name!r} holds requests: the results that were made of them are needed")
        ids = of_custom_id(record.get("custom_id"))
        if ids is None:
            count.foreign += 1
            continue
        yield _result(*ids, record)


def _result(key: str, call: int, record: Mapping[str, Any]) -> Result:
    response, error = record.get("response"), record.get("error")
    known: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
    status, body = known.get("status_code"), known.get("body")
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(body, Mapping):
        failed = bool(error) or not (status is None or 200 <= status < 300)
        return Result(key, call, status, body, failed, code in NOT_RUN)
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    return Result(key, call, status, {"error": inner or "no response"}, True, code in NOT_RUN)
