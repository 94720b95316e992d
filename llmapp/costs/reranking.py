"""The guard of a rerank API: every call is reserved at its worst case before it is sent, and settled after.

Providers bill tokens, the question once for every passage, or searches. Tokens are bounded by bytes, as
`llmapp.costs.bounds` does where a tokenizer is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmapp.costs.attempt import Attempt, believed
from llmapp.costs.ledger import Ledger
from llmapp.costs.prices import Price
from llmapp.costs.records import Charge
from llmapp.costs.spending import count
from llmapp.protocols import RelevanceScorer
from llmapp.types import Relevance, Usage

_FRAME_TOKENS = 16
"""Allowance for the marks around a pair of question and passage."""
_PART_TOKENS = 500
_LEAST_ROOM_TOKENS = 100
_PASSAGES_A_SEARCH = 100
"""A search is a question with up to 100 passages; a passage that is longer than 500 tokens, the question included, counts as
several (as Cohere states its "search unit": https://cohere.com/pricing; check it against your contract). Where the question leaves less than 100 of them, 100 are taken."""


class GuardedScorer:
    """A scorer around a paid scorer, with the same port."""

    def __init__(self, inner: RelevanceScorer, *, ledger: Ledger, price: Price) -> None:
        """Wrap a scorer.

        Args:
            inner: The scorer that calls the provider.
            ledger: Where its calls are recorded.
            price: Its price.
        """
        self._inner = inner
        self._ledger = ledger
        self._price = price

    @property
    def name(self) -> str:
        """That of the inner scorer."""
        return self._inner.name

    def score(self, query: str, passages: Sequence[str]) -> Relevance:
        """Judge each passage; one row of the ledger for the call.

        Raises:
            RerankerError: The provider failed.
            BudgetExceededError: The call could cost more than is left.
            CostError: The ledger cannot be used.
        """
        bound = self._price.bound_nano_usd(
            input_tokens=most_tokens(query, passages), output_tokens=0, searches=most_searches(query, passages)
        )
        attempt = Attempt(self._ledger, self._price, kind="rerank", bound_nano_usd=bound)
        try:
            relevance = self._inner.score(query, passages)
        except BaseException as error:
            attempt.abandon(error)
            raise
        count(self._settle(attempt, relevance).posted_nano_usd or 0)
        return relevance

    def _settle(self, attempt: Attempt, relevance: Relevance) -> Charge:
        """Charge what was billed; the hold where the provider does not say what this price is for, or it cannot be true."""
        tokens, searches = believed(relevance.billed_tokens), believed(relevance.billed_searches)
        is_untold = (tokens is None and self._price.rates.input) or (searches is None and self._price.search_nano_usd)
        return attempt.finish(None if is_untold else Usage(input_tokens=tokens or 0), searches=searches or 0)


def most_tokens(query: str, passages: Sequence[str]) -> int:
    """The most tokens that a provider can count: the question is read with every passage."""
    return sum(_bytes(query) + _bytes(passage) + _FRAME_TOKENS for passage in passages)


def most_searches(query: str, passages: Sequence[str]) -> int:
    """The most searches that a provider can count."""
    room_tokens = max(_PART_TOKENS - _bytes(query) - _FRAME_TOKENS, _LEAST_ROOM_TOKENS)
    parts = sum(1 + _bytes(passage) // room_tokens for passage in passages)
    return -(-parts // _PASSAGES_A_SEARCH)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
