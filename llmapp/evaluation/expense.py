"""What an evaluation costs, said before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.costs.records import NANO_PER_USD

if TYPE_CHECKING:
    from llmapp.application import App
    from llmapp.evaluation.questions import Dataset

_SOME_TOKENS = 1_000


def worst_cost_usd(app: App, dataset: Dataset) -> float:
    """What the answers can cost at worst: for each question that is asked the whole token budget read and the longest written.

    What `paid_calls` names comes on top.

    Raises:
        UnknownPriceError: The model has no known price.
    """
    settings = app.settings
    price = app.prices.price(app.model_name)
    worst = price.bound_nano_usd(
        input_tokens=settings.prompt.budget_tokens, output_tokens=settings.model_options.max_output_tokens
    )
    return len(dataset.expecting) * worst / NANO_PER_USD


def paid_calls(app: App, dataset: Dataset, *, answers: bool) -> list[str]:
    """What a search is paid for, a phrase for each call; empty when it costs nothing.

    A question of a data set has no history, so `retrieval.rewrite` asks for nothing here.

    Args:
        app: The application.
        dataset: The questions.
        answers: Whether questions are answered; only then are they searched for in other wordings.

    Raises:
        UnknownPriceError: A model that would be called has no known price.
    """
    given = app.settings.retrieval
    calls = []
    if app.embedding_cost_usd(_SOME_TOKENS):
        calls.append("its embedding" + ("" if dataset.corpus is None else " (and that of the corpus, once)"))
    if answers and given.queries > 1 and _is_paid(app, app.model_name):
        calls.append(f"a call of {app.model_name} for other wordings")
    kind, _, name = given.reranker.partition(":")
    if kind == "api" and _is_paid(app, name):
        calls.append(f"a call of the reranker {name}")
    if kind == "model" and _is_paid(app, app.model_name):
        calls.append(f"a call of {app.model_name} that orders the hits")
    return calls


def _is_paid(app: App, model: str) -> bool:
    price = app.prices.price(model)
    return price.search_nano_usd > 0 or price.bound_nano_usd(input_tokens=_SOME_TOKENS, output_tokens=0) > 0
