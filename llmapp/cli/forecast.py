"""Verbs on what is to come: `forecast`, what a workload costs at scale, and `compare`, an API against GPUs of one's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, print_json

if TYPE_CHECKING:
    from llmapp.costs.forecast import Forecast
    from llmapp.types import Usage

_Model: TypeAlias = Annotated[str | None, typer.Option("--model", help="e.g. openai:gpt-4o; else that of llmapp.toml.")]
_Input: TypeAlias = Annotated[int | None, typer.Option("--input-tokens", help="Of a request.")]
_Output: TypeAlias = Annotated[int | None, typer.Option("--output-tokens", help="Of a request.")]
_AsOf: TypeAlias = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="Prices of that day, e.g. 2023-05-17; else of today.")
]
_Cached: TypeAlias = Annotated[
    str | None,
    typer.Option("--cached-share", metavar="SHARE", help="Part of the input that the provider has cached: 0.3 or 30%."),
]
_Retries: TypeAlias = Annotated[
    str, typer.Option("--retry-share", metavar="SHARE", help="Further attempts for each request, each at its full price.")
]
_Batch: TypeAlias = Annotated[
    str, typer.Option("--batch-share", metavar="SHARE", help="Part that goes to the batch endpoint.")
]
_Plot: TypeAlias = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.html", help="Write it as an HTML page with a plot.")
]
_Days: TypeAlias = Annotated[
    int, typer.Option("--days", min=1, help="Where no tokens are given: days back whose recorded calls are gone by.")
]
_RECORDED_DAYS = 30


def forecast(
    requests_per_day: Annotated[int, typer.Option("--requests-per-day", help="10000000000 is as good as 10.")],
    model: _Model = None,
    input_tokens: _Input = None,
    output_tokens: _Output = None,
    as_of: _AsOf = None,
    cached_share: _Cached = None,
    retry_share: _Retries = "0",
    batch_share: _Batch = "0",
    times: Annotated[
        str | None,
        typer.Option("--times", metavar="NxM", help="Also what so many cost once, e.g. 20x25 for 20 examples x 25 prompts."),
    ] = None,
    days: _Days = _RECORDED_DAYS,
    plot: _Plot = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what requests cost at scale: one, a thousand, a day, a month; of given tokens, or as they were recorded."""
    with reported(as_json=as_json):
        from rich.console import Console

        from llmapp.cli.cost_pages import forecast_page
        from llmapp.cli.cost_shapes import forecast_shape
        from llmapp.cli.cost_tables import print_forecast

        shares = (cached_share, retry_share, batch_share)
        found = _forecast(config, model, (input_tokens, output_tokens), as_of, requests_per_day, shares, days)
        once = None if times is None else _product(times)
        if plot is not None:
            _write(plot, forecast_page(found))
        if as_json:
            print_json(forecast_shape(found, once))
        else:
            print_forecast(Console(), found, once)
            _say_written(plot)


def compare(
    gpu_usd_per_hour: Annotated[str, typer.Option("--gpu-usd-per-hour", metavar="USD", help="Of one GPU, used or not.")],
    input_tokens_per_second: Annotated[
        str, typer.Option("--input-tokens-per-second", metavar="RATE", help="That one GPU reads, measured, input alone.")
    ],
    output_tokens_per_second: Annotated[
        str, typer.Option("--output-tokens-per-second", metavar="RATE", help="That it writes, measured, output alone.")
    ],
    model: _Model = None,
    input_tokens: _Input = None,
    output_tokens: _Output = None,
    requests_per_day: Annotated[int, typer.Option("--requests-per-day", help="Also what both cost at that volume.")] = 0,
    utilisation: Annotated[
        str, typer.Option("--utilisation", metavar="SHARE", help="Part of the time in which there is work.")
    ] = "0.5",
    operations_usd_per_month: Annotated[
        str, typer.Option("--operations-usd-per-month", metavar="USD", help="People, storage, network.")
    ] = "0",
    as_of: _AsOf = None,
    cached_share: _Cached = None,
    retry_share: _Retries = "0",
    batch_share: _Batch = "0",
    days: _Days = _RECORDED_DAYS,
    plot: _Plot = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set an API against GPUs of your own: from which volume on which is cheaper, or that it never is."""
    with reported(as_json=as_json):
        from rich.console import Console

        from llmapp.cli.cost_pages import comparison_page
        from llmapp.cli.cost_shapes import comparison_shape
        from llmapp.cli.cost_tables import print_comparison
        from llmapp.costs.in_house import InHouse, compare

        api = _forecast(
            config,
            model,
            (input_tokens, output_tokens),
            as_of,
            requests_per_day,
            (cached_share, retry_share, batch_share),
            days,
        )
        request = api.columns[0]
        rates = (gpu_usd_per_hour, input_tokens_per_second, output_tokens_per_second, utilisation, operations_usd_per_month)
        own = InHouse(*map(_number, rates))
        size = (request.usage.input_tokens, request.usage.output_tokens)
        found = compare(request.parts.total, own, input_tokens=size[0], output_tokens=size[1])
        if plot is not None:
            _write(plot, comparison_page(api, found))
        if as_json:
            print_json(comparison_shape(api, found))
        else:
            print_comparison(Console(), api, found)
            _say_written(plot)


def _forecast(
    config: Path | None,
    model: str | None,
    tokens: tuple[int | None, int | None],
    as_of: str | None,
    requests_per_day: int,
    shares: tuple[str | None, str, str],
    days: int,
) -> Forecast:
    from llmapp.bootstrap.models import price_book
    from llmapp.config import load_settings
    from llmapp.costs.forecast import Workload, forecast

    settings = load_settings(config)
    name, day, (cached, retries, batch) = model or settings.model, _day(as_of), shares
    workload = Workload(requests_per_day, None if cached is None else _number(cached), _number(retries), _number(batch))
    book = price_book(settings)
    batch_price = book.price(name, as_of=day, variant="batch") if workload.batch_share else None
    usages = _recorded(config, name, days) if tokens == (None, None) else [_given(tokens)]
    return forecast(book.price(name, as_of=day), batch_price, usages, workload, as_of=day)


def _given(tokens: tuple[int | None, int | None]) -> Usage:
    from llmapp.types import Usage

    return Usage(tokens[0] or 0, tokens[1] or 0)


def _recorded(config: Path | None, model: str, days: int) -> list[Usage]:
    from llmapp.application import open_app
    from llmapp.costs.recorded import recorded_usages
    from llmapp.errors import InvalidRequestError

    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    with open_app(config) as application:
        usages = recorded_usages(application.ledger, model, since_day=since.isoformat())
    if not usages:
        raise InvalidRequestError(
            f"no call of {model} is recorded since {since}", hint="give --input-tokens and --output-tokens, or more --days"
        )
    return usages


def _day(text: str | None) -> date:
    from llmapp.errors import InvalidRequestError

    try:
        return datetime.now(UTC).date() if text is None else date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(f"{text!r} is no day", hint="write it like 2023-05-17") from None


def _number(text: str) -> Fraction:
    """A number as it is written, exactly; ``30%`` is 0.3."""
    from llmapp.errors import InvalidRequestError

    try:
        return Fraction(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        raise InvalidRequestError(f"{text!r} is no number", hint="write it like 0.3 or 30%") from None


def _product(text: str) -> int:
    from llmapp.errors import InvalidRequestError

    try:
        return prod(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InvalidRequestError(f"{text!r} is no count", hint="write it like 500 or 20x25") from None


def _say_written(file: Path | None) -> None:
    if file is not None:
        typer.echo(f"  written to {file}")


def _write(file: Path, page: str) -> None:
    from llmapp.errors import ConfigError

    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}", hint="name a file in a folder that is there") from error
