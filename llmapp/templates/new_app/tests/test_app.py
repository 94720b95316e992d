"""The whole line, run for real: the documents are taken in, and questions are asked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmapp import App, open_app

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("__PACKAGE__")
    shutil.copy(ROOT / "llmapp.toml", folder)
    shutil.copytree(ROOT / "documents", folder / "documents")
    with open_app(folder) as opened:
        opened.ingest()
        yield opened


@pytest.mark.parametrize(
    ("question", "expected", "document"),
    [
        ("How many days of leave do I have?", "29 days", "leave-and-working-hours.md"),
        ("How much is paid for a shift on call?", "EUR 340", "on-call.md"),
        ("How long are old versions of the mobile apps supported?", "nine months", "releases.txt"),
    ],
)
def test_an_answer_cites_the_document_that_says_so(app: App, question: str, expected: str, document: str) -> None:
    answer = app.ask(question)
    assert expected in answer.text
    assert answer.citations[0].uri.endswith(document)


def test_a_question_that_no_document_answers_gets_no_citation(app: App) -> None:
    assert not app.ask("What does a season ticket for the opera cost?").citations
