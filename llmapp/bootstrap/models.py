"""A chat model and what goes with it: the counter of its tokens, and the prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from llmapp.bootstrap import Parts
    from llmapp.config import Settings
    from llmapp.costs.price_book import PriceBook
    from llmapp.models.catalog.own import OwnFacts
    from llmapp.protocols import TokenCounter


def chat_model(parts: Parts) -> BaseChatModel:
    """The model that the settings name, unguarded."""
    from llmapp.models.backends import build_chat_model

    options = parts.settings.model_options
    return build_chat_model(
        parts.settings.model,
        max_output_tokens=parts.max_output_tokens,
        base_url=options.base_url,
        api_key=parts.settings.api_key if options.base_url else None,  # never to a provider it was not meant for
        timeout_s=options.timeout_s,
        embedder=parts.embedder,
        count_tokens=parts.counter.count,
        count_request=parts.counter.count_request,
    )


def token_counter(parts: Parts) -> TokenCounter:
    """The counter of the model's own files, of its provider where the settings ask for that, or an estimate that learns."""
    from llmapp.models.backends import key_of
    from llmapp.models.token_endpoints import count_endpoint
    from llmapp.prompting.counting import CorrectedCounter, ProviderCounter, counter_for, counter_of

    options = parts.settings.model_options
    if options.tokenizer is not None:
        return counter_of(parts.settings.root / options.tokenizer)
    offline = counter_for(parts.model_facts.counter)
    if options.ask_for_counts:
        ask = count_endpoint(parts.model_name, base_url=options.base_url, key=lambda: key_of(parts.model.inner))
        if ask is not None:
            return ProviderCounter(ask, CorrectedCounter(offline))
    return offline if offline.is_exact else CorrectedCounter(offline)


def own_facts(settings: Settings, model: str) -> OwnFacts:
    """What the settings state of a model, under its name with or without the provider."""
    from llmapp.models.catalog.own import OwnFacts

    stated = settings.models.get(model) or settings.models.get(model.partition(":")[2])
    return OwnFacts() if stated is None else OwnFacts(**stated.model_dump())


def price_book(settings: Settings) -> PriceBook:
    """The prices: the user's own first, then the published ones."""
    from llmapp.costs.price_book import PriceBook
    from llmapp.costs.prices import declared_price
    from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

    batch = {"batch_input_usd_per_million", "batch_output_usd_per_million"}
    return PriceBook(
        {name: declared_price(name, **own.model_dump(exclude=batch)) for name, own in settings.prices.items()},
        declared_batch={
            name: declared_price(
                name,
                input_usd_per_million=own.batch_input_usd_per_million,
                output_usd_per_million=own.batch_output_usd_per_million,
            )
            for name, own in settings.prices.items()
            if own.batch_input_usd_per_million is not None
        },
        local={MiniLMEmbedder.identity},
    )
