"""A deadline for every call of Chroma: it has been seen to hang, and to end a call with a panic that is no `Exception`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from llmapp.errors import IndexUnavailableError

_T = TypeVar("_T")

REBUILD = "run llmapp index rebuild; it needs no embedding, and exact search serves meanwhile"


class Watchdog:
    """Runs calls, each within its deadline. Safe to use from several threads."""

    def __init__(self) -> None:
        """Nothing has hung yet."""
        self._hanging: dict[Future[Any], float] = {}
        self.has_hung = False
        """Whether a call was ever left behind; it may have opened something that nobody closes."""

    @property
    def hung(self) -> str | None:
        """What hangs and for how long, one line; None while nothing does: a call that was only late has ended."""
        deadlines_s = self._hanging.copy().values()
        return f"the vector index has not answered for {max(deadlines_s):g} s" if deadlines_s else None

    def run(self, deadline_s: float, call: Callable[[], _T]) -> _T:
        """Run a call in a thread of its own, which may hang without holding anyone, not even the exit.

        Args:
            deadline_s: Seconds that the call may take.
            call: What to run.

        Raises:
            IndexUnavailableError: The call failed, or did not end in time; then `hung` says so until it ends.
        """
        future: Future[_T] = Future()
        threading.Thread(target=_settle, args=(future, call), daemon=True, name="chroma").start()
        try:
            return future.result(deadline_s)
        except TimeoutError as error:
            self.has_hung = True
            self._hanging[future] = deadline_s
            future.add_done_callback(self._hanging.pop)
            raise IndexUnavailableError(f"the vector index has not answered for {deadline_s:g} s", hint=REBUILD) from error
        except BaseException as error:
            # Chroma's own errors, SQLite's, and Rust panics, which are no `Exception`; an interrupt by the user is none.
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise IndexUnavailableError(f"the vector index failed: {_one_line(error)}", hint=REBUILD) from error


def _settle(future: Future[_T], call: Callable[[], _T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - handed on to the caller's thread
        future.set_exception(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
