"""A report is one file that shows what was measured and runs nothing."""

import re
from html.parser import HTMLParser

import pytest

from llmapp.evaluation.answers import evaluate_answers
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.report.plots import histogram
from llmapp.evaluation.report.writing import _round_up, answers_page, retrieval_page
from llmapp.evaluation.retrieval import evaluate_retrieval
from llmapp.pages import el, page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00\ud800"
QUESTIONS = (
    Question("good", "When is water damage reported?", documents={"water.md": 1}, answers=("seven days",)),
    Question("bad", f"Which glass is this? {HOSTILE}", documents={"theft.md": 1}, answers=("none",)),
    Question("vet", "Who pays the vet?", unanswerable=True),
)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += attributes


def tags_of(html):
    parser = Tags()
    parser.feed(html)
    return parser


@pytest.fixture
def hostile_app(app, tmp_path):
    (tmp_path / "documents" / "glass.md").write_text(
        f"# {HOSTILE[:-2]}\n\nGlass {HOSTILE[:-2]} is replaced.\n", encoding="utf-8"
    )
    app.ingest()
    return app


def test_no_text_of_a_document_or_a_question_becomes_markup(hostile_app):
    data = Dataset(f"set {HOSTILE}", QUESTIONS)
    for html in (retrieval_page(evaluate_retrieval(hostile_app, data)), answers_page(evaluate_answers(hostile_app, data))):
        tags = tags_of(html)
        assert not {"script", "img", "link", "iframe", "object"} & set(tags.seen)
        assert not [name for name, _ in tags.attributes if name.startswith("on") or name in {"src", "href"}]
        assert "&lt;script&gt;alert(1)" in html
        html.encode("utf-8")


def test_nothing_is_loaded_from_outside(app):
    html = retrieval_page(evaluate_retrieval(app, Dataset("set", QUESTIONS)))
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|@import|url\(", html)


def test_a_report_of_searches_shows_figures_plots_worst_questions_and_the_other_setting(app):
    report = evaluate_retrieval(app, Dataset("handbook", QUESTIONS))
    html = retrieval_page(report, report)
    for words in ("handbook", "nDCG@10", "recall by depth", "Found worst", "Against the other setting", "files:"):
        assert words in html
    assert tags_of(html).seen.count("figure") == 3


def test_a_report_of_answers_shows_who_was_answered_and_refused(app):
    report = evaluate_answers(app, Dataset("handbook", QUESTIONS))
    html = answers_page(report)
    assert "Answered and refused" in html
    assert "cannot be answered" in html
    assert f"{report.settings['model']}" in html


def test_a_page_says_what_was_left_out(app_without_reranker):
    data = Dataset("handbook", QUESTIONS)
    said = "2 of 2 questions were not searched for as the settings say: rerank was left out: api:rerank-x"
    assert said in retrieval_page(evaluate_retrieval(app_without_reranker, data))
    assert said.replace("2 of 2", "3 of 3") in answers_page(evaluate_answers(app_without_reranker, data))


def test_every_value_is_in_one_bin_and_the_largest_in_the_last():
    figure = histogram("t", [0.0, 0.05, 0.5, 1.0, 7.0], most=1.0, label=str)
    counts = [int(text.text) for text in figure.iter("text") if text.get("text-anchor") == "middle" and text.text.isdigit()]
    assert counts == [2, 1, 2]


@pytest.mark.parametrize(("value", "rounded"), [(0, 1), (0.031, 0.05), (1, 1), (1.2, 2), (73, 100), (210, 500)])
def test_scales_end_at_round_numbers(value, rounded):
    assert _round_up(value) == pytest.approx(rounded)


def test_elements_keep_texts_between_them_and_attributes_are_escaped():
    html = page("t", el("p", "a ", el("b", "b"), " c <", class_='x" onclick="y'))
    assert '<p class="x&quot; onclick=&quot;y">a <b>b</b> c &lt;</p>' in html
