"""Many questions of a model, some at the same time, until there is no sense in going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from llmapp.errors import ConfigError, CostError, LLMAppError

if TYPE_CHECKING:
    from llmapp.protocols import Progress

_MOST_FAILURES = 5
"""Failures one after the other after which the rest is not tried."""

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


def ask_all(
    items: Sequence[_Item],
    ask: Callable[[_Item], tuple[_Outcome, LLMAppError | None]],
    not_asked: Callable[[_Item, LLMAppError], _Outcome],
    *,
    at_once: int = 1,
    progress: Progress | None = None,
    name: Callable[[_Item], str] = str,
) -> list[_Outcome]:
    """Ask for every item.

    Args:
        items: What is asked for.
        ask: Gives what came of it, and the error where it failed; called from several threads.
        not_asked: Gives the outcome of an item that was no longer asked for, by the last error before it.
        at_once: Items that are asked for at the same time. From 1.
        progress: Told of every item.
        name: What it is told.

    Returns:
        In the order of `items`, whichever came first.

    Raises:
        LLMAppError: Nothing went well; the last error. When money or `_MOST_FAILURES` in a row stand in the way, the rest is not
            asked for.
    """
    interview, outcomes = _Interview(ask, not_asked), []
    if progress:
        progress.start(len(items))
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="asking")
    try:
        for item, outcome in zip(items, pool.map(interview.ask, items), strict=True):
            outcomes.append(outcome)
            if progress:
                progress.advance(name(item))
    finally:
        pool.shutdown(cancel_futures=True)
    if interview.error and not interview.went_well:
        raise interview.error
    return outcomes


class _Interview(Generic[_Item, _Outcome]):
    """Asks for one after the other, and stops when there is no sense in going on."""

    def __init__(
        self,
        ask: Callable[[_Item], tuple[_Outcome, LLMAppError | None]],
        not_asked: Callable[[_Item, LLMAppError], _Outcome],
    ) -> None:
        self.error: LLMAppError | None = None
        """The last one."""
        self.went_well = False
        """Whether anything did."""
        self._ask = ask
        self._not_asked = not_asked
        self._failed = 0
        self._is_over = False

    def ask(self, item: _Item) -> _Outcome:
        """Ask for one item. Safe to use from several threads."""
        if self._is_over and self.error:
            return self._not_asked(item, self.error)
        outcome, error = self._ask(item)
        if error is None:
            self._failed, self.went_well = 0, True
        else:
            self._failed, self.error = self._failed + 1, error
            self._is_over = self._failed >= _MOST_FAILURES or isinstance(error, CostError | ConfigError)
        return outcome
