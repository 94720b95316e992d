from dataclasses import replace

import pytest

from llmapp.errors import TemplateError
from llmapp.prompting.allocation import Section
from llmapp.prompting.sections import SECTIONS, sections_of
from llmapp.prompting.templates import TemplateLibrary, load_template, parse_template


def sections(share=None, **named):
    template = replace(load_template(), sections=named)
    return {each.name: each for each in sections_of(template, budget_tokens=1_000, history_share=share)}


@pytest.mark.parametrize("template", TemplateLibrary().all(), ids=lambda template: template.name)
def test_the_head_of_every_built_in_template_is_understood(template):
    assert [each.name for each in sections_of(template, budget_tokens=1_000, history_share=None)] == list(SECTIONS)


def test_what_a_template_names_of_a_section_takes_the_place_of_that_part_of_the_common_claim():
    found = sections(sources={"tier": 5, "min_tokens": 7})
    assert found["sources"] == Section("sources", tier=5, min_tokens=7, shrink="sentences")
    assert found["summary"] == SECTIONS["summary"]


@pytest.mark.parametrize(
    ("words", "section", "kept"),
    [
        ('name = "sources"\ntier = 2', "sources", {"shrink": "sentences"}),
        ('name = "history"\nweight = 2.0', "history", {"max_tokens": 250, "contiguous": True}),
        ('name = "examples"\nstability = "static"', "examples", {"max_share": 0.25, "tier": 1}),
        ('name = "summary"\nmin_tokens = 10', "summary", {"max_share": 0.25, "stability": "session"}),
        ('name = "sources"\nshrink = "drop"', "sources", {"tier": 2}),
    ],
)
def test_a_field_that_a_head_does_not_name_stays_as_it_commonly_is(words, section, kept):
    head = f'+++\nname = "own"\nversion = "1"\ndescription = "Ours"\n\n[[sections]]\n{words}\n+++\n'
    template = parse_template(f"{head}=== system ===\nSay it.\n=== user ===\n{{{{ question }}}}\n")
    found = {each.name: each for each in sections_of(template, budget_tokens=1_000, history_share=None)}
    assert {name: getattr(found[section], name) for name in kept} == kept


def test_the_watermark_of_the_history_is_a_share_of_the_budget():
    assert sections()["history"].max_tokens == 250
    assert sections(history={"max_share": 0.5})["history"].max_tokens == 500
    assert sections(history={"max_share": 0.5}, share=0.1)["history"].max_tokens == 100
    assert sections(history={"max_tokens": 70})["history"].max_tokens == 70


def test_a_section_that_is_none_is_a_typed_error():
    with pytest.raises(TemplateError, match="section tools") as caught:
        sections(tools={})
    assert caught.value.hint
