"""Verbs on models: `list`, `show` and `check`, what is known of them; `fit`, what one takes in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, print_json

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.models.sizing.fitting import Fit

app = typer.Typer(
    help="Models: what is known of them, what they cost, what fits a GPU.", no_args_is_help=True, rich_markup_mode=None
)

_DEFAULT_CONTEXT_TOKENS = 8_192


@app.command("list")
def list_(
    provider: Annotated[str | None, typer.Option("--provider", help="Only its models, all of them, e.g. openai.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the models of a provider; without one, the configured model, your own entries, and the open models."""
    with reported(as_json=as_json):
        from llmapp.cli.model_cards import card_shape, cards, print_cards

        found = list(cards(config, provider))
        if as_json:
            print_json({"models": [card_shape(each) for each in found]})
        else:
            print_cards(found, provider=provider)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="As in the settings, e.g. openai:gpt-4o.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a model, and where each fact is from."""
    with reported(as_json=as_json):
        from llmapp.cli.model_cards import card_shape, one_card, print_card

        found = one_card(config, name)
        print_json(card_shape(found)) if as_json else print_card(found)


@app.command()
def check(
    ask: Annotated[
        bool, typer.Option("--ask", help="Also ask it for one token, which is held and charged as any call.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """See whether the configured model is known, priced and can be built; exit code 1 when something is wrong."""
    with reported(as_json=as_json):
        from llmapp.cli.checkup import examine_model, print_findings

        findings = examine_model(config, ask=ask)
        if as_json:
            print_json({"checks": [finding.shape() for finding in findings]})
        else:
            print_findings(findings)
    if any(finding.outcome == "failed" for finding in findings):
        raise typer.Exit(1)


@app.command()
def fit(
    model: Annotated[
        str, typer.Argument(help="A folder with config.json, a safetensors or GGUF file, an open model's name, or e.g. 7B.")
    ],
    gpu: Annotated[str, typer.Option("--gpu", metavar="MEMORY", help="Of the GPU: 24GB (10^9 bytes) or 24GiB (2^30).")],
    context: Annotated[
        int | None,
        typer.Option("--context", help="Tokens of a sequence; else 8,192, or the model's own where it has fewer."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", help="Sequences at the same time.")] = 1,
    share: Annotated[
        float, typer.Option("--share", help="Part of the GPU that the server may take (vLLM: gpu_memory_utilization).")
    ] = 1.0,
    kv_bits: Annotated[int, typer.Option("--kv-bits", help="Bits of a number of the KV cache: 16, or 8.")] = 16,
    overhead: Annotated[
        str | None, typer.Option("--overhead", metavar="MEMORY", help="As measured on your server; else a range.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a model takes in memory, and which number formats and contexts fit; nothing is loaded, nothing asked."""
    with reported(as_json=as_json):
        from llmapp.models.sizing.fitting import Placement, fit
        from llmapp.models.sizing.named import shape_of
        from llmapp.models.sizing.quantities import memory_bytes

        shape = shape_of(model)
        most = shape.max_context_tokens or _DEFAULT_CONTEXT_TOKENS
        placement = Placement(
            memory_bytes(gpu),
            min(_DEFAULT_CONTEXT_TOKENS, most) if context is None else context,
            batch,
            share,
            kv_bits,
            None if overhead is None else memory_bytes(overhead),
        )
        found = fit(shape, placement)
        if as_json:
            print_json(_fit_shape(found))
        else:
            from rich.console import Console

            from llmapp.cli.memory import print_fit

            print_fit(Console(), found)


def _fit_shape(found: Fit) -> Shape:
    from dataclasses import asdict

    shape = {key: value for key, value in asdict(found.shape).items() if key != "kv_numbers_per_token"}
    formats: list[Shape] = [asdict(row) for row in found.rows]
    return {
        "model": {**shape, "kv_bytes_per_token": found.kv_bytes_per_token},
        "placement": {**asdict(found.placement), "usable_bytes": found.placement.usable_bytes},
        "formats": [*formats],
    }
