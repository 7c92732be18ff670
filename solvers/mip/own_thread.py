"""HiGHS in a thread of its own.

The scheduler of HiGHS, with its number of threads, belongs to the thread that first runs it. A new thread gets one of
its own, with the number that is asked for, whatever its caller, other code or the process that it was forked from ran
before, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

import highspy

Result = TypeVar("Result")


def in_own_thread(run: Callable[[], Result], stop: Callable[[], object] = lambda: None) -> Result:
    """Return what a function that runs HiGHS returns; `stop` ends it early, where the wait for it is interrupted."""
    ended: Future[Result] = Future()

    def work() -> None:
        try:
            ended.set_result(run())
        except BaseException as error:
            ended.set_exception(error)
        finally:
            highspy.Highs.resetGlobalScheduler(True)  # so that its threads end before this one

    thread = Thread(target=work, name="highs", daemon=True)
    try:
        thread.start()
        return ended.result()
    except BaseException:
        stop()
        raise
    finally:
        if thread.is_alive():
            thread.join()
