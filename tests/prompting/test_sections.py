from dataclasses import replace

import pytest

from llmapp.errors import TemplateError
from llmapp.prompting.allocation import Section
from llmapp.prompting.sections import SECTIONS, sections_of
from llmapp.prompting.templates import TemplateLibrary, load_template


def sections(*rows, share=None):
    template = replace(load_template(), sections=rows)
    return {each.name: each for each in sections_of(template, budget_tokens=1_000, history_share=share)}


@pytest.mark.parametrize("template", TemplateLibrary().all(), ids=lambda template: template.name)
def test_the_head_of_every_built_in_template_is_understood(template):
    assert [each.name for each in sections_of(template, budget_tokens=1_000, history_share=None)] == list(SECTIONS)


def test_a_section_of_a_template_takes_the_place_of_the_common_one():
    found = sections(Section("sources", tier=5, min_tokens=7))
    assert found["sources"] == Section("sources", tier=5, min_tokens=7)
    assert found["summary"] == SECTIONS["summary"]


def test_the_watermark_of_the_history_is_a_share_of_the_budget():
    assert sections()["history"].max_tokens == 250
    assert sections(Section("history", max_share=0.5))["history"].max_tokens == 500
    assert sections(Section("history", max_share=0.5), share=0.1)["history"].max_tokens == 100
    assert sections(Section("history", max_tokens=70))["history"].max_tokens == 70


def test_a_section_that_is_none_is_a_typed_error():
    with pytest.raises(TemplateError, match="section tools") as caught:
        sections(Section("tools"))
    assert caught.value.hint
