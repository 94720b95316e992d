"""What happens to hits after they are found, and what the chat model is asked for a search, as the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmapp.errors import ConfigError

if TYPE_CHECKING:
    from llmapp.app.queries import QueryWriter
    from llmapp.bootstrap import Parts
    from llmapp.protocols import Complete, RelevanceScorer
    from llmapp.retrieval.ranking.stage import Stage


def stages(parts: Parts) -> Iterator[Stage]:
    """The stages that are switched on, in their order.

    Raises:
        ConfigError: The reranker cannot be had.
        UnknownPriceError: The rerank API has no price.
    """
    from llmapp.retrieval.ranking.diversity import Diversity
    from llmapp.retrieval.ranking.expansion import Expansion
    from llmapp.retrieval.ranking.rerankers import build_reranker
    from llmapp.retrieval.ranking.reranking import Reranking

    given = parts.settings.retrieval
    if given.reranker != "none":
        reranker = build_reranker(
            given.reranker,
            root=parts.settings.root,
            api=lambda model: _rerank_api(parts, model),
            complete=lambda: aside(parts),
        )
        yield Reranking(reranker, candidates=max(given.rerank_candidates, given.top_k))
    if given.diversity:
        yield Diversity(parts.catalog.vectors, share=given.diversity)
    if given.expand != "none":
        yield Expansion(parts.catalog, reach=given.expand, most_chars=given.expand_chars)


def query_writer(parts: Parts) -> QueryWriter | None:
    """Who writes the queries for a question; None when it is searched for as it was asked."""
    from llmapp.app.queries import QueryWriter

    given = parts.settings.retrieval
    if not given.rewrite and given.queries == 1:
        return None
    return QueryWriter(aside(parts), rewrite=given.rewrite, queries=given.queries)


def aside(parts: Parts) -> Complete:
    """The chat model, for what is asked on the way to an answer.

    Raises:
        ConfigError: It is the extractive one, which writes nothing of its own.
    """
    from llmapp.app.asides import Aside

    if parts.model_name == "extractive":
        raise ConfigError(
            "the extractive model quotes; it cannot rank hits or reword a question",
            hint="choose a chat model that writes, or leave out retrieval.rewrite, retrieval.queries and that reranker",
        )
    return Aside(parts.model)


def _rerank_api(parts: Parts, model: str) -> RelevanceScorer:
    from llmapp.costs.reranking import GuardedScorer
    from llmapp.retrieval.ranking.rerank_api import RerankApi

    given, key = parts.settings.retrieval, parts.settings.reranker_api_key
    if given.reranker_url is None:
        raise ConfigError("retrieval.reranker_url is missing", hint="name the whole address of the rerank API")
    price = parts.prices.price(model)
    secret = None if key is None else key.get_secret_value()
    api = RerankApi(model, url=given.reranker_url, api_key=secret, timeout_s=given.reranker_timeout_s)
    parts.closing.callback(api.close)
    return GuardedScorer(api, ledger=parts.ledger, price=price)
