"""What is known of models, with today's prices, on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmapp.bootstrap.models import own_facts, price_book
from llmapp.config import load_settings
from llmapp.errors import UnknownModelError, UnknownPriceError
from llmapp.models.catalog.card import ModelCard, card
from llmapp.models.catalog.listing import names_of, providers

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.config import Settings
    from llmapp.costs.price_book import PriceBook
    from llmapp.costs.prices import Price

_PICO_PER_USD_PER_MILLION = 1_000_000
_ABILITIES = ("tools", "structured_output", "vision", "caching", "reasoning")
_NAME_CELLS = 26
_SIZED = {"16 bits": "bf16", "8 bits": "int8", "4 bits": "int4"}


@dataclass(frozen=True, slots=True)
class PricedCard:
    """A card with the price of today."""

    card: ModelCard
    price: Price | None
    """None where it is not known."""
    batch: Price | None
    """Of the provider's batch endpoint; None where it is not known."""


def cards(config: Path | None, provider: str | None) -> Iterator[PricedCard]:
    """The models of a provider by name; without one the configured model, the user's entries, and the open models.

    Raises:
        UnknownModelError: No models are listed of that provider.
    """
    settings = load_settings(config)
    if provider is not None:
        names: Sequence[str] = names_of(provider)
        if not names:
            raise UnknownModelError(f"no models of {provider!r} are listed", hint=f"there are {', '.join(providers())}")
    else:
        from llmapp.models.sizing.named import open_models

        names = [settings.model, *settings.models, *(shape.name for shape in open_models())]
    book = price_book(settings)
    for name in dict.fromkeys(names):
        yield _priced(name, settings, book)


def one_card(config: Path | None, name: str) -> PricedCard:
    """All that is known of one model.

    Raises:
        UnknownModelError: Nothing is.
    """
    settings = load_settings(config)
    found = _priced(name, settings, price_book(settings))
    if not found.card.is_known and found.price is None:
        raise UnknownModelError(
            f"nothing is known of {name!r}",
            hint="write it as provider:model; llmapp models list --provider NAME lists those that there are",
        )
    return found


def _priced(name: str, settings: Settings, book: PriceBook) -> PricedCard:
    def price(variant: str) -> Price | None:
        try:
            return book.price(name, as_of=datetime.now(UTC).date(), variant="batch" if variant == "batch" else "standard")
        except UnknownPriceError:
            return None

    return PricedCard(card(name, own_facts(settings, name)), price("standard"), price("batch"))


def card_shape(found: PricedCard) -> Shape:
    """A card as JSON; what is not known is null."""
    known = found.card
    return {
        "name": known.name,
        "provider": known.provider,
        "limits": asdict(known.limits),
        "abilities": asdict(known.abilities),
        "price": _price_shape(found.price),
        "batch_price": _price_shape(found.batch),
        "open_weights": None if known.shape is None else {**asdict(known.shape), "weights_bytes": {**_weights(known)}},
    }


def print_cards(found: Sequence[PricedCard], *, provider: str | None) -> None:
    """Print models as a table, in their order; of one provider without its name."""
    has_shapes = any(each.card.shape for each in found)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model", style="cyan", overflow="fold", min_width=_NAME_CELLS)
    for name in ("context", "output", "USD/M in", "out", *(("params",) if has_shapes else ())):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("can", no_wrap=True)
    for each in found:
        name = each.card.name.removeprefix(f"{provider}:")
        table.add_row(Text(name), *_numbers(each, has_shapes=has_shapes), _can(each.card))
    console = Console()
    console.print(table)
    console.print(Text(f"  can: {', '.join(name.replace('_', ' ') for name in _ABILITIES)}; · no or not known", style="dim"))
    if provider is None:
        console.print(Text(f"  all models of one of {', '.join(providers())}: --provider NAME", style="dim"))


def _numbers(found: PricedCard, *, has_shapes: bool) -> list[str]:
    shape, limits = found.card.shape, found.card.limits
    window = limits.context_window_tokens or (None if shape is None else shape.max_context_tokens)
    parameters = "" if shape is None or shape.parameters is None else f"{shape.parameters / 1e9:.1f} B"
    numbers = [_tokens(window), _tokens(limits.max_output_tokens), *_usd(found.price)]
    return [*numbers, parameters] if has_shapes else numbers


def print_card(found: PricedCard) -> None:
    """Print all that is known of a model; the source of each fact is a number, told below."""
    known, table = found.card, Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    for style in ("cyan", "", "dim"):
        table.add_column(style=style, overflow="fold")
    rows = [*_limit_rows(known), *_ability_rows(known), *_price_rows(found), *_shape_rows(known)]
    sources = [source for source in dict.fromkeys(source for _, _, source in rows) if source]
    for name, value, source in rows:
        table.add_row(name, Text(value), Text(f"[{sources.index(source) + 1}]" if source else ""))
    console = Console()
    console.print(Text(f"  {known.name}", style="bold"))
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(Text(f"  [{number}] {source}", style="dim"))


_Row = tuple[str, str, str]


def _limit_rows(known: ModelCard) -> Iterator[_Row]:
    for name, tokens in (
        ("context window", known.limits.context_window_tokens),
        ("longest answer", known.limits.max_output_tokens),
    ):
        yield name, "not known" if tokens is None else f"{tokens:,} tokens", "" if tokens is None else known.limits.source
    yield "counted as", known.limits.counter, ""


def _ability_rows(known: ModelCard) -> Iterator[_Row]:
    words, abilities = {True: "yes", False: "no", None: "not known"}, known.abilities
    for name in _ABILITIES:
        value = getattr(abilities, name)
        source = abilities.caching_source if name == "caching" else abilities.source
        yield name.replace("_", " "), words[value], "" if value is None else source
    if abilities.released:
        yield "released", f"{abilities.released} {abilities.status}".strip(), abilities.source


def _price_rows(found: PricedCard) -> Iterator[_Row]:
    for name, price in (("price", found.price), ("batch price", found.batch)):
        if price is None:
            yield name, "not known", ""
            continue
        rates = price.rates
        amounts = (
            ("in", rates.input),
            ("cached", rates.cached_input),
            ("cache write", rates.cache_write),
            ("out", rates.output),
        )
        text = ", ".join(f"{_dollars(rate)} {what}" for what, rate in amounts if rate is not None)
        yield name, "free" if price.is_free else f"{text} a million tokens", price.source


def _shape_rows(known: ModelCard) -> Iterator[_Row]:
    shape = known.shape
    if shape is None or shape.parameters is None:
        return
    yield "parameters", f"{shape.parameters:,}", shape.source
    if shape.max_context_tokens is not None:
        yield "made for", f"{shape.max_context_tokens:,} tokens; a server may give fewer", shape.source
    sizes = ", ".join(f"{size / 2**30:,.1f} GiB in {name}" for name, size in _weights(known).items())
    yield "weights", f"{sizes}; see llmapp models fit", shape.source


def _weights(known: ModelCard) -> dict[str, int]:
    """Bytes of the weights by number format."""
    from llmapp.models.sizing.formats import FORMATS

    shape = known.shape
    if shape is None or shape.parameters is None:
        return {}
    formats = {name: next(each for each in FORMATS if each.name.startswith(start)) for name, start in _SIZED.items()}
    return {name: each.weights_bytes(shape.parameters, shape.embedding_parameters) for name, each in formats.items()}


def _can(known: ModelCard) -> str:
    """A letter for each ability that it has, in its place."""
    return "".join(name[0] if getattr(known.abilities, name) else "·" for name in _ABILITIES)


def _tokens(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _usd(price: Price | None) -> tuple[str, str]:
    if price is None:
        return "?", "?"
    return _dollars(price.rates.input), "-" if price.rates.output is None else _dollars(price.rates.output)


def _dollars(pico_per_token: int) -> str:
    return f"${pico_per_token / _PICO_PER_USD_PER_MILLION:,.4f}".rstrip("0").rstrip(".")


def _price_shape(price: Price | None) -> Shape | None:
    if price is None:
        return None
    rates = {name: None if rate is None else rate / _PICO_PER_USD_PER_MILLION for name, rate in asdict(price.rates).items()}
    tiers = [tier.above_input_tokens for tier in price.tiers]
    return {"usd_per_million_tokens": {**rates}, "dearer_above_input_tokens": [*tiers], "source": price.source}
