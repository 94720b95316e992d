"""The guard of an embedder: every batch is in the ledger, and a paid one is reserved before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmapp.costs.attempt import Attempt, believed
from llmapp.costs.ledger import Ledger
from llmapp.costs.prices import Price
from llmapp.costs.spending import count
from llmapp.protocols import Embedder, Tokenizer
from llmapp.types import Usage

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray


class GuardedEmbedder:
    """An embedder around an embedder, with the same port."""

    def __init__(self, inner: Embedder, *, ledger: Ledger, price: Price) -> None:
        """Wrap an embedder.

        Args:
            inner: The embedder that does the work. Where it has `last_input_tokens`, the tokens that the provider has counted
                for the last call of the thread, these are charged, unless they cannot be true.
            ledger: Where its batches are recorded.
            price: Its price; `llmapp.costs.prices.free_price` for one that runs here.
        """
        self._inner = inner
        self._ledger = ledger
        self._price = price

    @property
    def identity(self) -> str:
        """Name and revision of the inner embedder."""
        return self._inner.identity

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._inner.dim

    @property
    def max_tokens(self) -> int:
        """Tokens of one input, special tokens included."""
        return self._inner.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return self._inner.tokenizer

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched; one row of the ledger for the batch.

        Raises:
            EmbedderError: The model failed.
            BudgetExceededError: The batch could cost more than is left.
            CostError: The ledger cannot be used.
        """
        return self._guarded(texts, lambda: self._inner.embed_documents(texts))

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question.

        Raises:
            EmbedderError: The model failed.
            BudgetExceededError: The call could cost more than is left.
            CostError: The ledger cannot be used.
        """
        # A question may stand behind a longer prompt than a document; it is cut at the most that the model is given.
        return self._guarded([text], lambda: self._inner.embed_query(text), bound_tokens=self.max_tokens)

    def _guarded(
        self, texts: Sequence[str], embed: Callable[[], FloatArray], *, bound_tokens: int | None = None
    ) -> FloatArray:
        # A free batch is not tokenised again only to be counted; a paid one is counted by the provider, else by the tokenizer.
        usage = None if self._price.is_free else Usage(input_tokens=self._tokens(texts))
        most = bound_tokens or (usage.input_tokens if usage else 0)
        bound = 0 if usage is None else self._price.bound_nano_usd(input_tokens=most, output_tokens=0)
        attempt = Attempt(self._ledger, self._price, kind="embed", bound_nano_usd=bound)
        try:
            vectors = embed()
        except BaseException as error:
            attempt.abandon(error)
            raise
        if usage and (counted := believed(getattr(self._inner, "last_input_tokens", None))):
            usage = Usage(input_tokens=counted)
        count(attempt.finish(usage).posted_nano_usd or 0)
        return vectors

    def _tokens(self, texts: Sequence[str]) -> int:
        tokenizer = self._inner.tokenizer
        return sum(min(self.max_tokens, tokenizer.count(text) + tokenizer.special_tokens) for text in texts)
