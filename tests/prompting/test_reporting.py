from pathlib import Path

from llmapp.prompting import REASONS, Assembler, Chunk, Hit, Message, counter_for

TEXT = "".join(f"Sentence {n} of the handbook says something about water and glass. " for n in range(60))


def hit(start, end, rank):
    return Hit(Chunk(f"c{rank}", "s", "d", "u", "Handbook", TEXT[start:end], start, end), 1 / rank, rank, "fused")


def report(*hits, budget=3_000, **given):
    assembler = Assembler(counter_for("openai:gpt-4o"), budget_tokens=budget, reserve_output_tokens=100)
    return assembler.assemble("When?", hits, **given).report


def of_sources(found):
    return [(d.item, d.outcome, d.reason) for d in found.decisions if d.section == "sources"]


def test_overlapping_chunks_are_charged_once_and_told_as_merged():
    found = report(hit(0, 800, 1), hit(400, 1200, 2), measure=True)
    assert of_sources(found) == [("c1", "kept", "fits"), ("c2", "merged", "merged")]
    one, two = (d for d in found.decisions if d.section == "sources")
    assert two.marginal_tokens < 0.7 * two.tokens
    assert two.placed_tokens < 0.7 * one.placed_tokens


def test_a_part_that_stands_before_the_better_one_is_the_merged_one():
    assert of_sources(report(hit(400, 800, 1), hit(0, 400, 2))) == [("c2", "merged", "merged"), ("c1", "kept", "fits")]


def test_the_best_that_does_not_fit_is_cut_at_the_end_of_a_sentence():
    found = report(hit(0, 2_000, 1), budget=600)
    assert of_sources(found) == [("c1", "trimmed", "cut")]
    assert found.used_tokens <= 600


def test_sections_say_what_they_asked_for_and_got():
    found = report(hit(0, 800, 1), history=[Message("user", "word " * 30)] * 120)
    shares = {share.name: share for share in found.sections}
    assert list(shares) == ["system", "examples", "summary", "earlier", "history", "sources", "question"]
    assert shares["history"].max_tokens >= shares["history"].got_tokens > 0
    assert shares["earlier"].asked_tokens > shares["earlier"].max_tokens >= shares["earlier"].got_tokens
    assert shares["sources"].asked_tokens == shares["sources"].got_tokens > 0
    assert shares["system"].got_tokens > 0


def test_nothing_is_measured_that_was_not_asked_for():
    assert {d.placed_tokens for d in report(hit(0, 800, 1)).decisions} == {None}


def test_every_reason_is_documented():
    text = (Path(__file__).parents[2] / "architecture/prompting.md").read_text(encoding="utf-8")
    for reason in REASONS:
        assert f"| `{reason}` |" in text, reason
