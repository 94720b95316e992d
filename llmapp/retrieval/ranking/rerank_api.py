"""Relevance by a provider's rerank API: one ``POST`` as Cohere, Jina, Voyage, vLLM and others take it.

    {"model": "rerank-v3.5", "query": "…", "documents": ["…", "…"]}
    {"results": [{"index": 1, "relevance_score": 0.98}, …]}            Voyage says ``data``

One attempt: a retry would have to be paid for, so it is the caller's. What comes back is believed in two things only,
that an index is one of those that were sent and that a score is a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pydantic import JsonValue

from llmapp.errors import ConnectorError, RerankerError
from llmapp.types import Relevance

_MOST_BYTES = 10_000_000


class RerankApi:
    """Implements `llmapp.protocols.RelevanceScorer`; safe among threads, each with a connection of its own."""

    def __init__(self, model: str, *, url: str, api_key: str | None, timeout_s: float) -> None:
        """Name the model and where it is; nothing is called yet.

        Args:
            model: As the provider names it.
            url: The whole address, e.g. ``https://api.cohere.com/v2/rerank``; it may be private, being the operator's own.
            api_key: Sent as a bearer token; None sends none.
            timeout_s: Limit of one call. Seconds.
        """
        from llmapp.fetching import Fetcher, FetcherPool

        self.name = f"api:{model}"
        self._model = model
        self._url = url
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._clients = FetcherPool(
            lambda: Fetcher(
                allow_private=True,
                headers=headers,
                timeout_s=timeout_s,
                total_s=timeout_s,
                max_bytes=_MOST_BYTES,
                attempts=1,
                max_redirects=0,
            )
        )

    def score(self, query: str, passages: Sequence[str]) -> Relevance:
        """Judge each passage; the scores are those of the provider.

        Raises:
            RerankerError: No answer in time, a refusal, or an answer that does not judge every passage once.
        """
        body: JsonValue = {"model": self._model, "query": query, "documents": list(passages)}
        status: int | None = None
        try:
            with self._clients.borrowed() as client:
                fetched = client.request("POST", self._url, json=body)
            status = fetched.status
            answer = fetched.checked().json()
        except ConnectorError as error:
            raise RerankerError(f"{self.name}: {error.message}", hint=error.hint, status_code=status) from error
        return Relevance(self._scores(answer, len(passages)), *_billed(answer))

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _scores(self, answer: JsonValue, count: int) -> tuple[float, ...]:
        judged = dict(_judgements(answer))
        if judged.keys() != set(range(count)):
            raise RerankerError(f"{self.name} did not judge each of the {count} passages once")
        return tuple(judged[index] for index in range(count))


def _judgements(answer: JsonValue) -> Iterator[tuple[int, float]]:
    """Index and score of every well-formed result; where an index comes again, the last one counts."""
    results = (answer.get("results") or answer.get("data")) if isinstance(answer, dict) else None
    for result in results if isinstance(results, list) else ():
        if not isinstance(result, dict):
            continue
        index, score = result.get("index"), _number(result.get("relevance_score"))
        if type(index) is int and score is not None:
            yield index, score


def _number(value: JsonValue) -> float | None:
    """A value as a float; None where it is no number, or a whole one beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with suppress(OverflowError):
        return float(value)
    return None


def _billed(answer: JsonValue) -> tuple[int | None, int | None]:
    """Tokens and searches that the provider says it bills; None where it does not say."""
    tokens = _whole(answer, "usage", "total_tokens")
    units = _whole(answer, "meta", "billed_units", "search_units")
    return tokens, units


def _whole(answer: JsonValue, *path: str) -> int | None:
    value = answer
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if type(value) is int and value >= 0 else None
