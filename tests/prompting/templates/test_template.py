import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmapp.errors import PromptError, TemplateError
from llmapp.frames import REFUSAL, frame_question, frame_source, mark_for, read_question, read_sources
from llmapp.prompting.templates import load_template, parse_template, schema_of

FILE = """\
+++
name = "short"
version = "7"
description = "An answer in one word"

[[sections]]
name = "sources"
tier = 1
+++

=== system ===
Say {{ refusal }} when unsure.

=== user ===
{{ sources }}
{{ question }}
"""


def render(words, **values):
    return parse_template(FILE.replace("Say {{ refusal }} when unsure.", words)).render("system", **values)


def test_a_file_is_read_in_its_head_and_its_parts():
    template = parse_template(FILE)
    assert (template.identity, template.description) == ("short@7", "An answer in one word")
    assert template.sections == {"sources": {"tier": 1}}
    assert template.render("system", refusal="no") == "Say no when unsure."
    assert template.render("user", sources="S", question="Q") == "S\nQ"
    assert template.slots("user") == ("sources", "question")


def test_a_file_of_another_system_is_read_the_same():
    assert parse_template(FILE.replace("\n", "\r\n")).render("user", sources="S", question="Q") == "S\nQ"


def test_the_built_in_template_asks_for_citations_and_for_the_one_refusal():
    template = load_template()
    system = template.render("system", refusal=REFUSAL)
    assert template.identity == "answer_with_sources@1"
    assert f"nothing else: {REFUSAL}\n" in system
    assert "[1]" in system
    assert "{{" not in system


@given(st.text(), st.text())
def test_what_is_put_in_stands_there_unchanged(sources, question):
    assert load_template().render("user", sources=sources, question=question) == (
        f"Sources:\n\n{sources}\n\nQuestion:\n\n{question}"
    )


@pytest.mark.parametrize(
    "text", ["{{ question }}", "{% for x in y %}", "{# gone", "{% raw %}", "{{ ''.__class__ }}", "<b>&amp;", "=== user ==="]
)
def test_a_text_in_a_slot_is_never_read_as_a_template(text):
    assert parse_template(FILE).render("user", sources=text, question="Q") == f"{text}\nQ"


def test_a_part_may_choose_and_repeat():
    words = "{% if routes %}\nRoutes:\n{% for route in routes %}\n- {{ route.name|upper }}{{ '!' if loop.last }}\n{% endfor %}\n{% endif %}\nEnd."
    routes = [{"name": "sql"}, {"name": "documents"}]
    assert render(words, routes=routes) == "Routes:\n- SQL\n- DOCUMENTS!\nEnd."
    assert render(words, routes=[]) == "End."


@pytest.mark.parametrize(
    ("words", "line", "message"),
    [
        ("a\nb {{ 2 ** 99 }}", 13, "Pow"),
        ("{{ 'a' * 10000000000 }}", 12, "Mul"),
        ("{{ 'a' ~ 'b' }}", 12, "Concat"),
        ("{{ '%099999999d'|format(1) }}", 12, "format"),
        ("{{ x|center(10000000000) }}", 12, "center"),
        ("{% for a in range(99999) %}{% endfor %}", 12, "Call"),
        ("\n\n{% for a in x %}\n{% for b in x %}{% endfor %}{% endfor %}", 14, "inside another"),
        ("{% set refusal = 'yes' %}", 12, "Assign"),
        ("{% include 'other.md' %}", 12, "Include"),
        ("{% macro a() %}{% endmacro %}", 12, "Macro"),
        ("{{ x.__class__.__mro__ }}", 12, "__class__"),
        ("{{ x is unheard_of }}", 12, "unheard_of"),
        ("one\n{% if x %}", 13, "end of template"),
        ("{{ x y }}", 12, "end of print statement"),
        ("{{ " + "(" * 5_000 + "x" + ")" * 5_000 + " }}", None, "too deeply"),
    ],
)
def test_what_a_template_may_not_say_is_refused_with_its_line(words, line, message):
    with pytest.raises(TemplateError, match=message) as caught:
        parse_template(FILE.replace("Say {{ refusal }} when unsure.", words), file="prompts/short.md").render(
            "system", x="x"
        )
    assert (caught.value.file, caught.value.line) == ("prompts/short.md", line)
    assert caught.value.message.startswith("prompts/short.md" if line is None else f"prompts/short.md, line {line}: ")
    assert caught.value.hint


def test_a_text_that_becomes_too_long_is_stopped_on_the_way():
    with pytest.raises(TemplateError, match="longer than 20,000,000"):
        render("{% for one in many %}{{ text }}{% endfor %}", many=range(10**9), text="x" * 1_000_000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing fills the slot route"),
        ({"route": {}}, "no attribute 'name'"),
        ({"route": {"name": None}}, "NoneType"),
        ({"route": {"name": ["a"]}}, "list"),
    ],
)
def test_a_slot_without_a_fit_value_is_refused_with_its_line(values, message):
    with pytest.raises(TemplateError, match=message) as caught:
        render("One\n{{ route.name }}", **values)
    assert caught.value.line == 13


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("+++\nname", "name", 1, "does not begin with a head"),
        ('"short"', "short", 2, "not TOML"),
        ('version = "7"\n', "", None, "no version"),
        ('"7"', "7", 3, "no version"),
        ('"short"', '"Short Name"', 2, "no name"),
        ("description", "descripton", 4, "descripton"),
        ('name = "sources"', 'nam = "sources"', 6, "a section has a field nam"),
        ("tier = 1", "teir = 1", 6, "a section has a field teir"),
        ("tier = 1", 'tier = "first"', 6, "a section is wrong: tier: Input should be a valid integer"),
        ("tier = 1", 'stability = "ever"', 6, "a section is wrong: stability"),
        ('name = "sources"', "", 6, "a section is wrong: name"),
        ("tier = 1", "max_share = 2", 6, "out of range"),
        ("tier = 1", '[[sections]]\nname = "sources"', 8, "two sections are named sources"),
        ("[[sections]]", "[sections.x]", 6, "a section has a field x"),
        ("=== user ===", "=== human ===", 14, "human"),
        ("=== user ===", "=== system ===", 11, "system stands twice"),
        ("=== system ===", "Hello", 11, "above the first part"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(old, new, line, message):
    with pytest.raises(TemplateError, match=message) as caught:
        parse_template(FILE.replace(old, new, 1), file="x.md")
    assert caught.value.line == line
    assert caught.value.hint


def test_a_file_that_is_too_long_is_refused():
    with pytest.raises(TemplateError, match="longer than 100,000"):
        parse_template(FILE + "x" * 100_000)


@pytest.mark.parametrize(
    ("user", "line"),
    [
        ("{{ question }}\n{{ sources }}", 16),
        ("{{ question }}\n\n{% if refusal %}x{% endif %}", 17),
    ],
)
def test_the_question_stands_behind_all_untrusted_text(user, line):
    with pytest.raises(TemplateError, match="behind the question") as caught:
        parse_template(FILE.replace("{{ sources }}\n{{ question }}", user)).render("user", sources="", question="")
    assert caught.value.line == line
    assert "forge" in caught.value.hint


@pytest.mark.parametrize(
    ("user", "slot", "line"),
    [
        ("{{ sources }}\n{{ question }} {{ question }}", "question", 16),
        ("{{ sources }}{% if refusal %}{{ question }}{% endif %}", "question", 15),
        ("{{ sources }} {{ question|upper }}", "question", 15),
        ("\n{{ sources|upper }}\n{{ question }}", "sources", 16),
        ("Here:\n{{ sources|length }}\n{{ question }}", "sources", 16),
        ("{{ sources|trim }}\n{{ question }}", "sources", 15),
        ("{{ sources }}{{ sources }}\n{{ question }}", "sources", 15),
        ("{{ sources[0] }}\n{{ question }}", "sources", 15),
        ("{% for s in sources %}{{ s }} {% endfor %}\n{{ question }}", "sources", 15),
        ("{% if sources %}Sources:\n{{ sources }}{% endif %}\n{{ question }}", "sources", 16),
        ("{{ sources if refusal else '' }}\n{{ question }}", "sources", 15),
    ],
)
def test_what_is_framed_stands_once_and_unchanged(user, slot, line):
    with pytest.raises(TemplateError, match=f"{slot} does not stand by itself") as caught:
        parse_template(FILE.replace("{{ sources }}\n{{ question }}", user), file="x.md").slots("user")
    assert (caught.value.file, caught.value.line) == ("x.md", line)
    assert f"{{{{ {slot} }}}}" in caught.value.hint


def test_fixed_words_may_stand_behind_the_question():
    words = FILE.replace("{{ question }}", "{{ question }}\n\nAnswer now.")
    assert parse_template(words).render("user", sources="S", question="Q") == "S\nQ\n\nAnswer now."


def test_a_slot_or_a_part_that_a_caller_needs_is_asked_for():
    template = parse_template(FILE.partition("=== user ===")[0])
    template.require("system", "refusal")
    with pytest.raises(TemplateError, match="no slot schema"):
        template.require("system", "schema")
    with pytest.raises(TemplateError, match="no part user"):
        template.require("user", "question")


def test_an_error_in_a_template_is_one_of_prompts():
    assert issubclass(TemplateError, PromptError)


@pytest.mark.data
def test_no_known_attack_leaves_its_frame_or_is_read_as_a_template(data_dir):
    attacks = (data_dir / "injection/attacks.jsonl").read_text(encoding="utf-8")
    texts = [json.loads(line)["text"] for line in attacks.splitlines()]
    mark = mark_for(texts)
    framed = [
        frame_source(text, mark=mark, number=number, title=text, place=text) for number, text in enumerate(texts, start=1)
    ]
    for question in texts:
        prompt = load_template().render("user", sources="\n\n".join(framed), question=frame_question(question, mark=mark))
        assert read_question(prompt) == question
    assert [source.text for source in read_sources(prompt)] == texts


def test_a_schema_is_that_of_the_model_and_stands_on_one_line():
    class Invoice(BaseModel):
        """What a supplier asks for."""

        number: str
        total: float | None

    text = schema_of(Invoice)
    assert json.loads(text) == Invoice.model_json_schema()
    assert "\n" not in text


def test_looking_a_template_up_loads_no_template_language():
    code = (
        "import sys\nfrom llmapp.prompting.templates import load_template\nload_template()\nprint('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
