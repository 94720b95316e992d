"""A prompt on terminals of several widths, with the titles and the many sources that real documents have."""

import io
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from llmapp.cli.waterfall import print_preview
from llmapp.prompting import Assembler, Chunk, EstimateCounter, Hit, Message
from llmapp.types import Decision, PromptReport, SectionShare

TITLE = "Leave and Working Time Policy of the Erlmark Insurance Group, Edition 2025"
ENDS = ("Sickness", "Carrying days over", "Exclusions", "病気の証明書")


def hit(rank):
    text = f"Rule {rank} holds for {rank} days. " * (3 + rank * 7 % 23)
    chunk = Chunk(f"c{rank}", "s", f"d{rank}", "u", TITLE, text, 0, len(text), None, f"{TITLE} › {ENDS[rank % 4]}")
    return Hit(chunk, score=1 / rank, rank=rank, retriever="fused")


@pytest.fixture(scope="module")
def previewed():
    hits = [hit(rank) for rank in range(1, 31)]
    history = [Message(role, f"word {n} " * 40) for n in range(8) for role in ("user", "assistant")]
    assembler = Assembler(EstimateCounter(), budget_tokens=2_000, reserve_output_tokens=500)
    prompt = assembler.assemble("How long?", hits, history=history, measure=True)
    return SimpleNamespace(prompt=prompt, found=SimpleNamespace(hits=hits, notes=(), cost_usd=0.0))


def shown(previewed, width):
    file = io.StringIO()
    print_preview(Console(file=file, width=width), previewed, with_messages=False)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_part_is_told_by_the_end_of_its_name_and_has_its_numbers_and_its_bar(previewed, width):
    lines = shown(previewed, width)
    assert max(map(cell_len, lines)) <= width
    parts = [line for line in lines if "█" in line or "░" in line]
    assert len(parts) == len(previewed.prompt.report.decisions)
    named = [line for line in parts if "Leave" in line]
    assert len(named) == 30
    assert all(any(end in line for end in ENDS) for line in named)
    for decision in previewed.prompt.report.decisions:
        tokens = decision.tokens if decision.placed_tokens is None else decision.placed_tokens
        assert any(f" {tokens:,} " in line for line in parts)
    assert any("✗ over budget" in line for line in parts)


def test_a_wide_terminal_has_scores_and_what_a_part_takes_alone(previewed):
    heads = {width: next(line for line in shown(previewed, width) if " part " in line) for width in (80, 100, 140)}
    assert ["score" in heads[width] for width in (80, 100, 140)] == [False, True, True]
    assert ["alone" in heads[width] for width in (80, 100, 140)] == [False, False, True]


def test_what_outcomes_mean_stands_below_the_parts(previewed):
    assert "  over budget: the budget has no room left for it" in map(str.rstrip, shown(previewed, 80))


def test_a_claim_is_told_in_words_beside_what_the_section_asked_for_was_offered_and_got():
    report = PromptReport(
        budget_tokens=1_000,
        used_tokens=300,
        reserved_output_tokens=0,
        is_exact=True,
        counter="words",
        decisions=(Decision("rules@1", "system", "kept", 100, "pinned"),),
        sections=(SectionShare("system", 0, 100, 100, 100, 100), SectionShare("sources", 2, 634, 250_000, 634, 200)),
    )
    found = SimpleNamespace(hits=[], notes=(), cost_usd=0.0)
    lines = [
        line.split() for line in shown(SimpleNamespace(prompt=SimpleNamespace(report=report, messages=()), found=found), 80)
    ]
    assert ["section", "claim", "asked", "offered", "got"] in lines
    assert ["system", "always", "whole", "100", "100", "100"] in lines
    assert ["sources", "tier", "2,", "at", "least", "250,000", "634", "634", "200"] in lines
