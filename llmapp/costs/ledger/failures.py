"""What becomes of a database that fails: an error of the ledger's own family, or another try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

from llmapp.errors import CatalogError, CostError

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ROLLED_BACK = ("40P01", "40001")
"""PostgreSQL's deadlock, and its failure to serialise where a server isolates that strictly."""
_WAITS_S = (0.01, 0.03, 0.1, 0.3, 1.0)


class _RolledBackError(CostError):
    """The database has undone a transaction for the sake of another one."""


def again(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Repeat what was undone for the sake of another transaction."""

    @wraps(method)
    def repeated(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for wait_s in _WAITS_S:
            with suppress(_RolledBackError):
                return method(*args, **kwargs)
            time.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - so that two do not meet again
        return method(*args, **kwargs)

    return repeated


@contextmanager
def as_cost_error() -> Iterator[None]:
    """A ledger that cannot be used refuses calls with an error of its own family."""
    try:
        yield
    except CatalogError as error:
        kind = _RolledBackError if getattr(error.__cause__, "sqlstate", "") in _ROLLED_BACK else CostError
        raise kind(f"the ledger cannot be used: {error.message}", hint=error.hint) from error
