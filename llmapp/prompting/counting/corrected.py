"""An estimate that learns from what the provider has counted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from threading import Lock

from llmapp.protocols import TokenCounter
from llmapp.types import Message, Tool

LEAST_SEEN = 8
"""Requests to be seen before an estimate is lowered; it is raised at once."""
MOST_SEEN = 256
"""Requests that are remembered; the factor covers all of them. Some servers leave out of a count what they had cached, so a
mean, or a lower quantile, would count on a cache."""
LOWEST, HIGHEST = 0.5, 3.0
"""How far a correction may go: a provider's count beyond it is of something else than the text, such as images."""


class CorrectedCounter:
    """Multiplies the counts of an estimate by what it was wrong by. Safe among threads; forgets at the end of the process."""

    is_exact = False
    """It is still an estimate: the next request may be of another kind than those seen."""
    is_exact_with_tools = False
    """As above."""

    def __init__(self, estimate: TokenCounter) -> None:
        """Correct nothing yet.

        Args:
            estimate: What is corrected; of one model, for another model is wrong in another way.
        """
        self.name = f"corrected:{estimate.name}"
        self._estimate = estimate
        self._ratios: deque[float] = deque(maxlen=MOST_SEEN)
        self._lock = Lock()
        self.factor = 1.0
        """What estimates are multiplied by."""

    def learn(self, messages: Sequence[Message], actual_tokens: int, *, tools: Sequence[Tool] = ()) -> None:
        """See what a request has really counted.

        Args:
            messages: The request.
            actual_tokens: Input tokens, cached ones included, as the provider has told them; 0 says nothing, and is passed over.
            tools: Tools of the request.
        """
        if actual_tokens <= 0:
            return
        ratio = actual_tokens / self._estimate.count_request(messages, tools=tools)
        with self._lock:
            self._ratios.append(ratio)
            most = max(self._ratios)
            self.factor = min(HIGHEST, max(LOWEST, most)) if most > 1 or len(self._ratios) >= LEAST_SEEN else 1.0

    def count(self, text: str) -> int:
        """Tokens of a text, estimated; never above its bound."""
        return min(self.upper_bound(text), self._corrected(self._estimate.count(text)))

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request, estimated."""
        return self._corrected(self._estimate.count_request(messages, tools=tools))

    def upper_bound(self, text: str) -> int:
        """The bound of the estimate, which no correction exceeds."""
        return self._estimate.upper_bound(text)

    def _corrected(self, tokens: int) -> int:
        return math.ceil(self.factor * tokens)
