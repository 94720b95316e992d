"""The application as a whole, with the real parts unless a test says otherwise."""

import asyncio

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from llmapp import Principal, open_app
from llmapp.application import App
from llmapp.catalog.lock import FileLock
from llmapp.config import BudgetSettings, PriceSettings, PromptSettings, RetrievalSettings, Settings, SourceSettings
from llmapp.errors import (
    BudgetExceededError,
    ConfigError,
    LockedError,
    PromptError,
    QuestionTooLongError,
    SourceNotFoundError,
    TokenBudgetExceededError,
    UnknownModelError,
    UnknownPriceError,
)
from llmapp.frames import REFUSAL
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel
from llmapp.types import Answer


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "water.md").write_text("# Water damage\n\nThe deductible is 300 euros. Report it within 72 hours.\n")
    (folder / "glass.txt").write_text("Broken glass is replaced without a deductible.\n")
    return folder


@pytest.fixture
def build(tmp_path, documents):
    opened = []

    def make(*, model=None, acl=("public",), **settings):
        source = SourceSettings(name="docs", acl=acl, settings={"path": "documents"})
        whole = Settings(**{"root": tmp_path, "sources": (source,), **settings})
        app = App(whole, model=model, embedder=HashEmbedder())
        opened.append(app)
        return app

    yield make
    for app in opened:
        app.close()


def test_documents_in_a_cited_answer_out(build, documents):
    app = build(model=ScriptedChatModel(answers=["It is 300 euros [1]."]))
    (report,) = app.ingest()
    assert (report.added, report.quarantined) == (2, 0)
    answer = app.ask("What is the deductible for water damage?")
    (citation,) = answer.citations
    assert citation.quote == "The deductible is 300 euros."
    assert citation.uri == "documents/water.md"
    text = (documents / "water.md").read_text()
    assert text[citation.start_char : citation.end_char] == citation.quote
    assert answer.usage.output_tokens == 20
    assert set(answer.timings_s) == {"retrieve", "assemble", "complete", "total"}


def test_a_second_ingest_does_nothing(build):
    app = build()
    app.ingest()
    before, embedded = app.catalog.digest(), len(app._given_embedder.embedded)
    (report,) = app.ingest()
    assert (report.added, report.changed, report.unchanged) == (0, 0, 2)
    assert len(app._given_embedder.embedded) == embedded
    assert app.catalog.digest() == before


def test_a_path_inside_a_known_source_syncs_that_source(build, documents):
    app = build()
    app.ingest()
    (report,) = app.ingest([documents / "water.md"])
    assert report.source == "docs"
    assert app.catalog.counts().documents == 2


def test_a_path_of_its_own_becomes_a_source(build, tmp_path):
    app = build()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/new.md").write_text("Something else.")
    app.ingest([tmp_path / "more"])
    assert len(app.catalog.sources()) == 1
    app.ingest([tmp_path / "more/new.md"])
    assert app.catalog.counts().documents == 1


def test_a_missing_path_takes_nothing_in(build, tmp_path, documents):
    app = build()
    with pytest.raises(SourceNotFoundError):
        app.ingest([documents, tmp_path / "nowhere"])
    assert app.catalog.counts().documents == 0


def test_without_sources_there_is_nothing_to_ingest(tmp_path):
    with App(Settings(root=tmp_path), embedder=HashEmbedder()) as app, pytest.raises(ConfigError, match="nothing to ingest"):
        app.ingest()


def test_a_second_ingest_at_the_same_time_is_refused(build, tmp_path):
    app = build()
    with (
        FileLock(tmp_path / ".llmapp/ingest.lock", purpose="ingestion"),
        pytest.raises(LockedError, match="ingestion is held"),
    ):
        app.ingest()


def test_nobody_sees_what_is_granted_to_nobody(build):
    app = build(acl=(), model=ScriptedChatModel(answers=["I have read it [1]."]))
    app.ingest()
    assert app.search("deductible") == []
    answer = app.ask("What is the deductible?")
    assert answer.citations == ()
    assert "300" not in str(app._given_model.requests)


def test_a_group_sees_its_documents_and_others_do_not(build):
    app = build(acl=("group:claims",))
    app.ingest()
    assert app.search("deductible", principal=Principal("ann", ("claims",)))
    assert app.search("deductible", principal=Principal("bob")) == []


@pytest.mark.parametrize("question", ["", "  \n"])
def test_a_blank_question_is_refused(build, question):
    app = build()
    with pytest.raises(PromptError):
        app.ask(question)
    with pytest.raises(PromptError):
        app.search(question)


def test_a_very_long_question_is_refused_before_anything_is_done(build):
    app = build()
    app.ingest()
    with pytest.raises(QuestionTooLongError, match="100,000"):
        app.ask("x" * 100_000)


def test_a_prompt_that_cannot_fit_is_a_typed_error(build):
    app = build(prompt=PromptSettings(budget_tokens=20))
    app.ingest()
    with pytest.raises(TokenBudgetExceededError):
        app.ask("What is the deductible?")


def test_a_call_that_could_pass_the_budget_is_refused_before_it_is_made(build):
    model = ScriptedChatModel(answers=["Yes."])
    app = build(
        model=model,
        budgets=BudgetSettings(day_usd="0.000001"),
        prices={"extractive": PriceSettings(input_usd_per_million=10, output_usd_per_million=10)},
    )
    app.ingest()
    with pytest.raises(BudgetExceededError):
        app.ask("What is the deductible?")
    assert model.requests == []


def test_the_cost_of_an_answer_is_what_its_tokens_cost(tmp_path, documents):
    settings = Settings(
        root=tmp_path,
        sources=(SourceSettings(name="docs", settings={"path": "documents"}),),
        prices={"extractive": PriceSettings(input_usd_per_million=10, output_usd_per_million=20)},
    )
    model = ScriptedChatModel(answers=["It is 300 euros [1]."], input_tokens=1000, output_tokens=100)
    with App(settings, model=model, embedder=HashEmbedder()) as app:
        app.ingest()
        assert app.ask("What is the deductible?").cost_usd == pytest.approx(0.012)
        assert app.status().spent_today_usd == pytest.approx(0.012)


def test_a_model_without_a_price_is_refused(tmp_path):
    settings = Settings(root=tmp_path, model="openai-compatible:mine")
    with App(settings, model=ScriptedChatModel(), embedder=HashEmbedder()) as app, pytest.raises(UnknownPriceError):
        app.ask("Anything?")


def test_an_unknown_model_is_named_with_the_nearest(tmp_path):
    with App(Settings(root=tmp_path, model="extractve"), embedder=HashEmbedder()) as app, pytest.raises(UnknownModelError):
        app.ask("Anything?")


def test_an_empty_catalog_answers_that_it_does_not_know(tmp_path):
    with App(Settings(root=tmp_path), embedder=HashEmbedder()) as app:
        answer = app.ask("What is the deductible?")
    assert answer.text == REFUSAL
    assert answer.citations == ()


async def test_a_stream_yields_the_text_and_then_the_answer(build):
    app = build(model=ScriptedChatModel(answers=["It is 300 euros [1]."]))
    await asyncio.to_thread(app.ingest)
    parts = [part async for part in app.stream("What is the deductible?", principal=Principal("local"))]
    assert "".join(parts[:-1]) == "It is 300 euros [1]."
    assert isinstance(parts[-1], Answer)
    assert len(parts) > 3


async def test_ask_works_where_a_loop_is_running(build):
    assert build().ask("Anything?").text == REFUSAL


def test_an_error_reaches_the_caller_where_a_loop_is_running(build):
    async def ask():
        build().ask(" ")

    with pytest.raises(PromptError):
        asyncio.run(ask())


def test_the_application_moves_with_its_folder(tmp_path, build, documents):
    app = build()
    app.ingest()
    digest = app.catalog.digest()
    app.close()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "documents").rename(moved / "documents")
    source = SourceSettings(name="docs", settings={"path": "documents"})
    with App(Settings(root=moved, sources=(source,)), embedder=HashEmbedder()) as other:
        other.ingest()
        assert other.catalog.digest() == digest


def test_beyond_exact_search_the_index_is_asked_and_degraded_says_when_it_cannot(build, tmp_path):
    app = build(retrieval=RetrievalSettings(exact_up_to=0))
    app.ingest()
    with FileLock(tmp_path / ".llmapp/index.lock", purpose="the index"):
        exactly = app.search("deductible")
        assert "another process" in app.status().degraded
    assert app.search("deductible") == exactly
    assert app.index_lock.held
    assert app.status().degraded is None


def test_open_app_reads_the_settings_of_a_folder(tmp_path):
    (tmp_path / "llmapp.toml").write_text('model = "extractive"\n')
    with open_app(tmp_path) as app:
        assert app.settings.root == tmp_path.resolve()


def test_the_tokens_are_counted_with_the_tokenizer_that_is_named(tmp_path):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "llmapp.toml").write_text('[model_options]\ntokenizer = "tokenizer.json"\n')
    with open_app(tmp_path) as app:
        assert app.counter.count("three short words") == 3
        assert app.ask("Anything?").report.counter == "tokenizers:tokenizer.json"
