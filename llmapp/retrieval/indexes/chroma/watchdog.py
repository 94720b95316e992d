"""A deadline for every call of Chroma: it has been seen to hang, and to end a call with a panic that is no `Exception`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from llmapp.errors import IndexUnavailableError

_T = TypeVar("_T")

REBUILD = "run llmapp index rebuild; it needs no embedding, and exact search serves meanwhile"


class Watchdog:
    """Runs calls, each within its deadline. Safe to use from several threads."""

    def __init__(self) -> None:
        """Nothing has hung yet."""
        self.hung: str | None = None
        """What hung and for how long, one line; None while nothing does."""

    def run(self, deadline_s: float, call: Callable[[], _T]) -> _T:
        """Run a call in a thread of its own, which may hang without holding anyone, not even the exit.

        Args:
            deadline_s: Seconds that the call may take.
            call: What to run.

        Raises:
            IndexUnavailableError: The call failed, or did not end in time; then `hung` is set.
        """
        future: Future[_T] = Future()
        threading.Thread(target=_settle, args=(future, call), daemon=True, name="chroma").start()
        try:
            return future.result(deadline_s)
        except TimeoutError as error:
            self.hung = f"the vector index has not answered for {deadline_s:g} s"
            raise IndexUnavailableError(self.hung, hint=REBUILD) from error
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
