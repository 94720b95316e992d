"""One attempt at a call, from its hold to its charge.

Every attempt that was dispatched ends posted or presumed, whatever happens to the caller; a retry is another attempt.
Silence is charged: after a timeout, a broken connection or a caller who has left, the provider may have billed. Only where
it is certain that nothing was done, because no connection was made or the provider refused, the hold is voided. After the
first part of an answer nothing proves that any more.
"""

from __future__ import annotations

from dataclasses import asdict

from llmapp.causes import causes
from llmapp.costs.ledger import Ledger
from llmapp.costs.prices import Price
from llmapp.costs.records import Charge, Hold, Kind
from llmapp.types import Usage

_MOST_COUNTED = 2**31
"""No call takes more tokens or searches; what so many cost at any published price fits SQLite's integers, also added up."""

_REQUEST_TIMEOUT = 408
_REFUSED_BEFORE_WORK = frozenset({503, 529})
"""Overloaded: answered instead of being served. A 500, 502 or 504 may come after the work was done."""

_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectionRefusedError", "gaierror"})
_MAYBE_SENT = frozenset({"ReadTimeout", "WriteTimeout", "ReadError", "WriteError", "RemoteProtocolError"})


class Attempt:
    """A call that is being made. Open it, make the call, then end it with `finish` or `abandon`."""

    def __init__(
        self, ledger: Ledger, price: Price, *, kind: Kind, bound_nano_usd: int, least_nano_usd: int | None = None
    ) -> None:
        """Reserve the worst case; a free call reserves nothing.

        Args:
            ledger: Where it is recorded.
            price: What it is charged by.
            kind: Kind of call.
            bound_nano_usd: The most that it can cost. Nano-USD.
            least_nano_usd: Where not all of that is left, what is left is reserved if it is as much as this; the call must then
                be made so small, see `held_nano_usd`. None takes all or nothing.

        Raises:
            BudgetExceededError: A budget has less than that left.
            CostError: The ledger cannot be used.
        """
        self._ledger = ledger
        self._price = price
        self._kind = kind
        self._hold: Hold | None = None
        self._is_answered = False
        if not price.is_free:
            self._hold = ledger.reserve(
                price.model,
                kind=kind,
                amount_nano_usd=bound_nano_usd,
                least_nano_usd=least_nano_usd,
                price=asdict(price),
            )
            ledger.mark_sent(self._hold)

    @property
    def held_nano_usd(self) -> int:
        """What was reserved. Nano-USD."""
        return 0 if self._hold is None else self._hold.held_nano_usd

    def mark_answered(self) -> None:
        """Note that a part of the answer has come: from here on a failure is charged, whatever it says."""
        self._is_answered = True

    def finish(self, usage: Usage | None, *, searches: int = 0) -> Charge:
        """The call has ended well, with so many searches of a rerank API; without usage the hold is presumed.

        Raises:
            CostError: The ledger cannot be used; the hold stays open and is presumed when its lease runs out.
        """
        if self._hold is None:
            return self._ledger.record_free(self._price.model, kind=self._kind, usage=usage, price=asdict(self._price))
        if usage is None:
            return self._ledger.presume(self._hold)
        return self._ledger.settle(
            self._hold, cost_nano_usd=self._price.cost_nano_usd(usage, searches=searches), usage=usage
        )

    def discard(self) -> None:
        """The call was never made.

        Raises:
            CostError: The ledger cannot be used; the hold stays open and is presumed when its lease runs out.
        """
        if self._hold is not None:
            self._ledger.release(self._hold)

    def abandon(self, error: BaseException | None) -> None:
        """The call has failed, or its caller has left (None).

        Raises:
            CostError: The ledger cannot be used; the hold stays open and is presumed when its lease runs out.
        """
        if self._hold is None:
            return
        if error is not None and not self._is_answered and never_billed(error):
            self._ledger.release(self._hold)
        else:
            self._ledger.presume(self._hold)


def believed(counted: object) -> int | None:
    """A provider's own count of tokens or searches; None when it is no count, or cannot be true."""
    return counted if type(counted) is int and 0 <= counted <= _MOST_COUNTED else None


def never_billed(error: BaseException) -> bool:
    """Whether it is certain that the provider has done no work.

    Providers are not imported: the status is read from ``status_code``, transport errors are known by the names that
    httpx, httpx2 and the standard library give them.
    """
    for link in causes(error):
        status = getattr(link, "status_code", None) or getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(status, int):
            return status in _REFUSED_BEFORE_WORK or (400 <= status < 500 and status != _REQUEST_TIMEOUT)  # noqa: PLR2004
        names = {base.__name__ for base in type(link).__mro__}
        if names & _MAYBE_SENT:
            return False
        if names & _NOT_SENT:
            return True
    return False
