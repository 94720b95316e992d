"""Verbs on money: `costs` what was spent, `costs budgets` what may be, `costs ledger` the books, `costs reconcile` an invoice.

`costs forecast` and `costs compare` stand in `llmapp.cli.forecast`.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli import forecast
from llmapp.cli.options import AsJson, Config, opened, print_json

if TYPE_CHECKING:
    from llmapp.costs.limits import Limit

app = typer.Typer(
    help="Money: what was spent, what may be, and what models cost.", invoke_without_command=True, rich_markup_mode=None
)
budgets = typer.Typer(help="Limits of money that are set at run time.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(budgets, name="budgets")
app.command("forecast")(forecast.forecast)
app.command("compare")(forecast.compare)

_Since = Annotated[str | None, typer.Option("--since", metavar="DAY", help="First day (UTC), YYYY-MM-DD; else today.")]
_Until = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Last day (UTC).")]


@app.callback()
def costs(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option("--by", help="model, user, group, tenant, key, source, request, kind, day or month."),
    ] = "model",
    since: _Since = None,
    until: _Until = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what was spent, today or since a day, and how the limits stand."""
    if context.invoked_subcommand is not None:
        return
    with opened(config, as_json=as_json) as application:
        from llmapp.cli.ledger_days import days, part_of
        from llmapp.cli.ledger_shapes import balance_shape, total_shape

        part, (first, last) = part_of(by), days(since, until)
        totals = application.ledger.totals(part, since_day=first, until_day=last)
        balances = application.ledger.balances()
        if as_json:
            rows = [total_shape(total) for total in totals]
            print_json({"by": part, "since": first, "until": last, "spent": rows, "budgets": balance_shape(balances)})
        else:
            from rich.console import Console

            from llmapp.cli.ledger_tables import print_balances, print_totals

            print_totals(Console(), totals, by=part, since=first, until=last)
            print_balances(Console(), balances)


@budgets.command("list")
def list_(config: Config = None, as_json: AsJson = False) -> None:
    """Show all limits, those of llmapp.toml and those that were set, and how everybody stands who has spent."""
    with opened(config, as_json=as_json) as application:
        from llmapp.cli.ledger_shapes import balance_shape, limit_shape

        of_file, set_here = application.ledger.limits()
        balances = application.ledger.balances()
        if as_json:
            limits = [limit_shape(one, "llmapp.toml") for one in of_file] + [limit_shape(one, "set") for one in set_here]
            print_json({"limits": limits, "budgets": balance_shape(balances)})
        else:
            from rich.console import Console

            from llmapp.cli.ledger_tables import print_balances, print_limits

            print_limits(Console(), of_file, set_here)
            print_balances(Console(), balances)


@budgets.command("set")
def set_(
    whose: Annotated[
        str,
        typer.Argument(
            metavar="SCOPE[:NAME]",
            help="E.g. user:anna, or user for each user; application, tenant, group, key, source, request.",
        ),
    ],
    usd: Annotated[str | None, typer.Option("--usd", help="The most in that window.")] = None,
    per: Annotated[str, typer.Option("--per", help='day, month, total, or a rolling window, e.g. "30 days".')] = "total",
    timezone: Annotated[str, typer.Option("--timezone", help="Whose days and months.")] = "UTC",
    remove: Annotated[bool, typer.Option("--remove", help="Take the limit away instead.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set a limit beside those of llmapp.toml; it counts at once, in every process. It can narrow those, never widen them."""
    if remove == (usd is not None):
        raise typer.BadParameter("give either --usd or --remove")
    with opened(config, as_json=as_json) as application:
        limit = _limit(whose, per, timezone, "0" if usd is None else usd)
        if remove:
            done = application.ledger.remove_limit(limit.scope, limit.name, limit.span.per)
        else:
            application.ledger.set_limit(limit)
            done = True
        words = "taken away" if remove else "set"
        print_json({"done": done}) if as_json else typer.echo(words if done else "there was none")


def _limit(whose: str, per: str, timezone: str, usd: str) -> Limit:
    from llmapp.costs.limits import EACH, Limit
    from llmapp.costs.records import NANO_PER_USD
    from llmapp.costs.windows import Span
    from llmapp.errors import InvalidRequestError

    scope, _, name = whose.partition(":")
    try:
        return Limit(scope, name or EACH, Span(per, timezone), int(Decimal(usd) * NANO_PER_USD))  # type: ignore[arg-type]  # it is checked
    except (ValueError, InvalidOperation, OverflowError) as error:
        text = f"{usd} is no amount" if isinstance(error, InvalidOperation) else str(error)
        raise InvalidRequestError(text, hint="e.g. llmapp costs budgets set user:anna --per month --usd 20") from error


@app.command()
def ledger(
    since: _Since = None,
    until: _Until = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write every call; - is standard output.")
    ] = None,
    focus: Annotated[
        Path | None, typer.Option("--focus", metavar="FILE", help="Write charges with the columns of FOCUS 1.2.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check that the books agree, or write them to a file; without --since all of them. Exit code 1 when they do not agree."""
    if csv is not None and focus is not None:
        raise typer.BadParameter("give either --csv or --focus")
    with opened(config, as_json=as_json) as application:
        from llmapp.cli.ledger_days import days
        from llmapp.costs.export import write_entries, write_focus

        first, last = days(since or "0001-01-01", until)
        entries = application.ledger.entries(since_day=first, until_day=last)
        target = csv if csv is not None else focus
        if target is not None:
            count = (write_entries if csv is not None else write_focus)(entries, target)
            if str(target) != "-":
                print_json({"rows": count}) if as_json else typer.echo(f"{count:,} rows written to {target}")
            return
        verdict = application.ledger.verify()
        wrong = [*verdict.wrong_holds, *verdict.wrong_budgets]
        if as_json:
            print_json({"holds": verdict.holds, "budgets": verdict.budgets, "wrong": list(wrong)})
        else:
            state = "they agree" if verdict.is_right else "WRONG: " + ", ".join(wrong[:10])
            typer.echo(f"{verdict.holds:,} holds, {verdict.budgets:,} budgets: {state}")
    if wrong:
        raise typer.Exit(1)


@app.command()
def reconcile(
    file: Annotated[
        Path,
        typer.Argument(
            help="A provider's costs: CSV, or JSON as OpenAI's organization/costs and Anthropic's cost_report give it."
        ),
    ],
    provider: Annotated[
        str | None, typer.Option("--provider", help="Only calls of models with this prefix, e.g. openai; else of all.")
    ] = None,
    day_column: Annotated[str | None, typer.Option("--day-column", help="Column of a CSV with the day or time.")] = None,
    usd_column: Annotated[str | None, typer.Option("--usd-column", help="Column of a CSV with the amount in USD.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Share by which a day may be off.")] = 0.01,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare what a provider has billed with what was posted, day by day (UTC). Exit code 1 where more was billed."""
    with opened(config, as_json=as_json) as application:
        from llmapp.costs.invoice import read_invoice
        from llmapp.costs.reconciling import compare

        billed = read_invoice(file, day_column=day_column, usd_column=usd_column)
        days = compare(billed, application.ledger, provider=provider, tolerance=tolerance)
        if as_json:
            from llmapp.cli.ledger_shapes import day_shape

            print_json({"days": [day_shape(day) for day in days]})
        else:
            from rich.console import Console

            from llmapp.cli.ledger_tables import print_reconciled

            print_reconciled(Console(), days)
    if any(day.is_short for day in days):
        raise typer.Exit(1)
