"""When a document that failed is tried again, and by whom.

A failure of the source or of the embedder may pass by itself, and so may the death of a parser on a crowded machine; what a
parser refuses, or what is too large, stays so until the document or the parser changes. Waiting doubles with every
attempt and is spread by chance, so that a thousand failures of one outage do not come back in one instant.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llmapp.catalog.records import QuarantineRecord, Retry
from llmapp.errors import InvalidDocumentError, LimitExceededError, ParseError, UnsupportedMediaTypeError

_LASTING = frozenset(
    error.code for error in (ParseError, UnsupportedMediaTypeError, LimitExceededError, InvalidDocumentError)
)
"""Failures that the same content meets again, whenever it is read."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a document waits."""

    first_s: float = 300.0
    """Wait after the first attempt. Seconds."""
    longest_s: float = 7 * 86_400.0
    """Longest wait. Seconds."""
    jitter: float = 0.5
    """Share by which a wait is shortened at most, by chance."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The time, in UTC."""

    def next_try_at(self, attempts: int, retry: Retry) -> str:
        """When a document is due after so many attempts. UTC, ISO 8601; empty when nobody tries it again by time."""
        if retry == "never":
            return ""
        wait_s = min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        wait_s *= 1 - self.jitter * random.random()  # noqa: S311 - no secret
        return (self.now() + timedelta(seconds=wait_s)).isoformat(timespec="seconds")

    def is_due(self, record: QuarantineRecord) -> bool:
        """Whether a document that was set aside may be tried again now, unchanged as it is."""
        if record.is_dropped or record.retry == "never":
            return False
        return not record.next_try_at or record.next_try_at <= self.now().isoformat(timespec="seconds")


def who_retries(code: str, *, by_source: bool = False) -> Retry:
    """Who tries a document again that failed in this way.

    Args:
        code: Code of the error.
        by_source: Whether the connector has said that it brings the document again by itself.
    """
    if code in _LASTING:
        return "never"
    return "source" if by_source else "host"
