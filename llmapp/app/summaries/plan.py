"""What a summary takes: counted by packing its first round, bounded for all that may follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from llmapp.app.summaries.result import SummaryPlan
from llmapp.costs.records import NANO_PER_USD
from llmapp.errors import BudgetExceededError, PromptError
from llmapp.types import Usage

if TYPE_CHECKING:
    from llmapp.app.summaries.material import Documents
    from llmapp.app.summaries.packing import Packing
    from llmapp.costs.prices import Price
    from llmapp.costs.records import Balance


def most_of_next_round(requests: int) -> int:
    """Most requests of the round behind one of so many.

    Three quarters: so all rounds together have at most four times as many as the first, whatever the model writes.
    """
    return requests * 3 // 4


def plan_of(
    packing: Packing,
    documents: Documents,
    *,
    price: Price,
    model: str,
    budget_tokens: int,
    notes_tokens: int,
    summary_tokens: int,
) -> SummaryPlan:
    """Pack the first round, ask nothing.

    Args:
        packing: Of the first round; it is used up.
        documents: What it reads.
        price: Of the model.
        model: Its name.
        budget_tokens: Most tokens of a request.
        notes_tokens: Most tokens of an answer with notes.
        summary_tokens: Most tokens of the summary.

    Raises:
        PromptError: No request has room for anything.
        UnknownPriceError: What the model writes has no price.
    """
    whole = packing.whole()
    prompts = [whole] if whole else packing.parts()
    used, is_exact = [], True
    for prompt in prompts:
        used.append(prompt.report.used_tokens)
        is_exact = prompt.report.is_exact
    if not used:
        raise PromptError("no request has room for any passage", hint="raise prompt.budget_tokens, or shorten the task")
    later = 0 if whole else _later(len(used))
    most = [(tokens, summary_tokens if whole else notes_tokens) for tokens in used]
    most += [(budget_tokens, notes_tokens)] * later + ([] if whole else [(budget_tokens, summary_tokens)])
    least_nano_usd = sum(price.cost_nano_usd(Usage(input_tokens=tokens)) for tokens in used)
    return SummaryPlan(
        model=model,
        documents=documents.read,
        tokens=sum(used),
        requests=len(used),
        most_requests=len(most),
        least_usd=least_nano_usd / NANO_PER_USD,
        most_usd=_bound_nano_usd(price, most) / NANO_PER_USD,
        is_exact=is_exact,
    )


def check_budgets(plan: SummaryPlan, balances: Iterable[Balance], accounts: Collection[str]) -> None:
    """Refuse what no budget can pay even if the model wrote nothing, before anything is spent on it.

    Args:
        plan: What it takes.
        balances: How everybody stands.
        accounts: Those of who pays.

    Raises:
        BudgetExceededError: A budget has less left than reading the documents costs.
    """
    for balance in balances:
        limit = balance.limit.nano_usd
        if limit is None or balance.account not in accounts:
            continue
        committed = balance.held_nano_usd + balance.posted_nano_usd
        if plan.least_usd * NANO_PER_USD > limit - committed:
            raise BudgetExceededError(
                scope=balance.budget,
                limit_usd=limit / NANO_PER_USD,
                committed_usd=committed / NANO_PER_USD,
                requested_usd=plan.least_usd,
            )


def _later(requests: int) -> int:
    """Most requests for notes behind the first round."""
    total = 0
    while requests := most_of_next_round(requests):
        total += requests
    return total


def _bound_nano_usd(price: Price, calls: Iterable[tuple[int, int]]) -> int:
    return sum(price.bound_nano_usd(input_tokens=read, output_tokens=written) for read, written in calls)
