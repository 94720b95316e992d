import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import PromptError
from llmapp.frames import REFUSAL
from llmapp.prompting.templates import load_template, parse_template

_FILE = "name: short\nversion: 7\n\n=== system ===\nSay ${refusal} when unsure.\n=== user ===\n${sources}\n${question}\n"


def test_the_built_in_template_asks_for_citations_and_for_the_one_refusal():
    template = load_template()
    system = template.render_system(refusal=REFUSAL)
    assert template.identity == "answer_with_sources@1"
    assert REFUSAL in system
    assert "[1]" in system
    assert "${" not in system


def test_the_system_message_is_the_same_for_every_question_so_that_providers_can_cache_it():
    template = load_template()
    assert template.render_system(refusal=REFUSAL) == template.render_system(refusal=REFUSAL)
    assert "${sources}" not in template.system


def test_a_template_file_is_read_in_its_parts():
    template = parse_template(_FILE)
    assert (template.name, template.version) == ("short", "7")
    assert template.render_system(refusal="no") == "Say no when unsure."
    assert template.render_user(sources="S", question="Q") == "S\nQ"


@given(st.text(), st.text())
def test_what_is_put_in_stands_there_unchanged(sources, question):
    assert load_template().render_user(sources=sources, question=question).endswith(f"{sources}\n\nQuestion:\n\n{question}")


def test_slots_in_a_document_are_not_filled():
    assert (
        parse_template(_FILE).render_user(sources="${question} $question $$", question="Q") == "${question} $question $$\nQ"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("${sources}", "${source}", "source, sources"),
        ("${question}", "", "question"),
        ("${sources}\n${question}", "${question} ${sources} ${question} $sources", "behind the question"),
        ("${refusal}", "${refusal} ${today}", "today"),
        ("unsure.", "it costs $ 5.", "stray dollar"),
        ("=== user ===", "=== human ===", "user part"),
        ("version: 7", "", "a version"),
    ],
)
def test_a_wrong_template_is_refused_with_the_reason(old, new, message):
    with pytest.raises(PromptError, match=message) as caught:
        parse_template(_FILE.replace(old, new))
    assert caught.value.hint


def test_an_unknown_template_is_refused():
    with pytest.raises(PromptError, match="no prompt template is named poem"):
        load_template("poem")
