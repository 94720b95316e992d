"""The application as a whole, with the real parts unless a test says otherwise."""

import asyncio
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from llmapp import Principal, open_app
from llmapp.application import App
from llmapp.bootstrap import Parts
from llmapp.catalog.lock import FileLock
from llmapp.config import (
    BudgetSettings,
    ModelOptions,
    PriceSettings,
    PromptSettings,
    RetrievalSettings,
    Settings,
    SourceSettings,
)
from llmapp.config.budgets import LimitSettings
from llmapp.errors import (
    BudgetExceededError,
    ConfigError,
    EmbedderMismatchError,
    InvalidRequestError,
    LockedError,
    NothingIngestedError,
    PromptError,
    QuestionTooLongError,
    SourceNotFoundError,
    TemplateError,
    TokenBudgetExceededError,
    UnknownModelError,
    UnknownPriceError,
)
from llmapp.frames import REFUSAL
from llmapp.prompting.examples import Example, Examples, add_examples
from llmapp.prompting.templates import load_template
from llmapp.retrieval.planning import Costs
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel
from llmapp.types import LOCAL_USER, Answer, Message

FREE = {name: PriceSettings(input_usd_per_million=0, output_usd_per_million=0) for name in ("scripted", "hash/64")}


class KeepsConnections(BaseHTTPRequestHandler):
    """A provider that keeps its connections open, as real ones do."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.add(self.client_address)
        if self.path == "/tokenize":
            self.send_response(200)
            self.send_header("Content-Length", "14")
            self.end_headers()
            self.wfile.write(b'{"count": 321}')
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Water damage is covered."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
        for event in (
            json.dumps({**chunk, "choices": [choice]}),
            json.dumps({**chunk, "choices": [], "usage": usage}),
            "[DONE]",
        ):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), KeepsConnections)
    server.daemon_threads = True
    server.connections = set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


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

    def make(*, model=None, model_spec="extractive", acl=("public",), **settings):
        source = SourceSettings(name="docs", acl=acl, settings={"path": "documents"})
        whole = Settings(**{"root": tmp_path, "sources": (source,), "prices": FREE, "model": model_spec, **settings})
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
    with (
        App(Settings(root=tmp_path, prices=FREE), embedder=HashEmbedder()) as app,
        pytest.raises(ConfigError, match="nothing to ingest"),
    ):
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
        prices={**FREE, "scripted": PriceSettings(input_usd_per_million=10, output_usd_per_million=10)},
    )
    app.ingest()
    with pytest.raises(BudgetExceededError):
        app.ask("What is the deductible?")
    assert model.requests == []


def test_the_cost_of_an_answer_is_what_its_tokens_cost(tmp_path, documents):
    settings = Settings(
        root=tmp_path,
        sources=(SourceSettings(name="docs", acl=("public",), settings={"path": "documents"}),),
        prices={**FREE, "scripted": PriceSettings(input_usd_per_million=10, output_usd_per_million=20)},
    )
    model = ScriptedChatModel(answers=["It is 300 euros [1]."], input_tokens=1000, output_tokens=100)
    with App(settings, model=model, embedder=HashEmbedder()) as app:
        app.ingest()
        assert app.ask("What is the deductible?").cost_usd == pytest.approx(0.012)
        assert app.status().spent_today_usd == pytest.approx(0.012)


def test_a_model_without_a_price_is_refused(tmp_path, documents):
    model = ScriptedChatModel()
    prices = {"hash/64": FREE["hash/64"]}
    with App(Settings(root=tmp_path, prices=prices), model=model, embedder=HashEmbedder()) as app:
        app.ingest([documents])
        with pytest.raises(UnknownPriceError, match="scripted"):
            app.ask("Anything?")
        assert model.requests == []


def test_an_embedder_without_a_price_is_refused(tmp_path, documents):
    with App(Settings(root=tmp_path), embedder=HashEmbedder()) as app, pytest.raises(UnknownPriceError, match="hash/64"):
        app.ingest([documents])


def test_a_paid_embedder_is_held_against_the_budget(build):
    embedding = PriceSettings(input_usd_per_million=1_000_000)
    app = build(budgets=BudgetSettings(day_usd="0.01"), prices={"hash/64": embedding})
    with pytest.raises(BudgetExceededError):
        app.ingest()
    assert app._given_embedder.embedded == []


def test_a_user_who_has_spent_his_share_is_refused_and_others_are_not(build):
    limit = LimitSettings(scope="user", per="month", usd="0.035")
    paid = PriceSettings(input_usd_per_million=10, output_usd_per_million=20)
    model = ScriptedChatModel(answers=["Yes [1]."] * 2, input_tokens=1000, output_tokens=100)
    app = build(model=model, budgets=BudgetSettings(limits=(limit,)), prices={**FREE, "scripted": paid})
    app.ingest()
    anna, bert = Principal("anna", groups=("hr",)), Principal("bert")
    app.ask("What is the deductible?", principal=anna)
    with pytest.raises(BudgetExceededError, match=r"user:anna:\d{4}-\d\d: "):
        app.ask("What is the deductible?", principal=anna)
    app.ask("What is the deductible?", principal=bert)
    assert {total.name: total.posted_nano_usd for total in app.ledger.totals("user")} == {
        "anna": 12_000_000,
        "bert": 12_000_000,
        "-": 0,  # ingestion
    }
    assert [total.name for total in app.ledger.totals("group")] == ["-", "hr"]


def test_a_question_with_all_that_it_takes_is_one_request(build):
    app = build(prices={"scripted": FREE["scripted"], "hash/64": PriceSettings(input_usd_per_million=1)})
    app.ingest()
    app.ask("What is the deductible?")
    (request,) = [total for total in app.ledger.totals("request") if total.name != "-"]
    assert request.calls == 3, "the question is embedded, so are sentences of what was found, and the answer is quoted"


def test_the_ingestion_of_a_source_has_a_budget_of_its_own(build):
    limit = LimitSettings(scope="source", name="docs", usd="0.000001")
    app = build(budgets=BudgetSettings(limits=(limit,)), prices={"hash/64": PriceSettings(input_usd_per_million=1_000)})
    with pytest.raises(BudgetExceededError, match="source:docs:total"):
        app.ingest()
    assert app._given_embedder.embedded == []


def test_an_unknown_model_is_named_with_the_nearest(tmp_path):
    with (
        App(Settings(root=tmp_path, model="extractve", prices=FREE), embedder=HashEmbedder()) as app,
        pytest.raises(UnknownModelError),
    ):
        app.ask("Anything?")


def test_where_nothing_was_ever_ingested_that_is_said(tmp_path):
    with App(Settings(root=tmp_path, prices=FREE), embedder=HashEmbedder()) as app:
        for ask in (app.ask, app.search):
            with pytest.raises(NothingIngestedError):
                ask("What is the deductible?")


def test_what_no_document_says_is_not_answered(build):
    app = build(acl=())
    app.ingest()
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
    app = build(model=ScriptedChatModel(answers=["Yes."]))
    await asyncio.to_thread(app.ingest)
    assert app.ask("Anything?").text == "Yes."


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
    source = SourceSettings(name="docs", acl=("public",), settings={"path": "documents"})
    with App(Settings(root=moved, sources=(source,), prices=FREE), embedder=HashEmbedder()) as other:
        other.ingest()
        assert other.catalog.digest() == digest


def test_beyond_exact_search_the_index_is_asked_and_degraded_says_when_it_cannot(build, tmp_path):
    app = build(retrieval=RetrievalSettings(exact_up_to=0))
    app.dense._costs = Costs(number_s=1.0)  # else a few documents are always searched exactly
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


def test_the_tokens_are_counted_with_the_tokenizer_that_is_named(tmp_path, documents):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "llmapp.toml").write_text('[model_options]\ntokenizer = "tokenizer.json"\n')
    with open_app(tmp_path) as app:
        assert app.counter.count("three short words") == 3
        app.ingest([documents])
        assert app.ask("Anything?").report.counter == "tokenizers:tokenizer.json"


@pytest.mark.parametrize(("window", "budget"), [(None, 16_385 - 4_096), (5_000, 5_000 - 4_096)], ids=["catalog", "settings"])
def test_the_window_and_the_longest_answer_are_those_of_the_model(build, monkeypatch, window, budget):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    app = build(
        model_spec="openai:gpt-3.5-turbo",
        model_options=ModelOptions(max_output_tokens=10_000),
        prompt=PromptSettings(budget_tokens=100_000, context_window_tokens=window),
    )
    assert app.assembler.budget_tokens == budget
    assert app.model.max_output_tokens == 4_096


def test_an_estimate_learns_from_what_the_provider_has_counted(build):
    app = build(model=ScriptedChatModel(answers=["It is 300 euros [1]."], input_tokens=100_000))
    app.ingest()
    first, second = (app.ask("What is the deductible?").report for _ in range(2))
    assert first.counter == "corrected:estimate"
    assert second.used_tokens == 3 * first.used_tokens, "a correction has a limit"


@pytest.mark.parametrize("asks", [True, False])
def test_the_provider_counts_the_prompt_where_the_settings_say_so(build, provider, asks):
    spec, url = "openai-compatible:m", f"http://127.0.0.1:{provider.server_address[1]}/v1"
    prices = {**FREE, spec: PriceSettings(input_usd_per_million=0, output_usd_per_million=0)}
    app = build(model_spec=spec, model_options=ModelOptions(base_url=url, ask_for_counts=asks), prices=prices)
    app.ingest()
    report = app.ask("What is the deductible?").report
    assert (report.used_tokens == 321) is report.is_exact is asks


def test_a_path_above_a_source_cannot_undo_its_access_list(build, tmp_path):
    app = build(acl=("group:hr",))
    app.ingest()
    with pytest.raises(ConfigError, match="access list of its own"):
        app.ingest([tmp_path])
    assert app.search("deductible") == []


def test_sources_inside_each_other_need_the_same_access_list(tmp_path, documents):
    sources = (
        SourceSettings(name="all", acl=("public",), settings={"path": "."}),
        SourceSettings(name="docs", acl=("group:hr",), settings={"path": "documents"}),
    )
    with App(Settings(root=tmp_path, sources=sources, prices=FREE), embedder=HashEmbedder()) as app:
        with pytest.raises(ConfigError, match="another access list"):
            app.ingest()
        assert app.catalog.counts().documents == 0


def test_a_source_takes_the_place_of_paths_that_were_taken_in_before_it_was_named(tmp_path, documents):
    with App(Settings(root=tmp_path, prices=FREE), embedder=HashEmbedder()) as app:
        app.ingest([documents])
        assert app.search("deductible")
    source = SourceSettings(name="docs", acl=("group:hr",), settings={"path": "documents"})
    with App(Settings(root=tmp_path, sources=(source,), prices=FREE), embedder=HashEmbedder()) as app:
        app.ingest()
        assert app.search("deductible") == []
        assert app.catalog.counts().documents == 2


def test_a_source_that_cannot_be_read_does_not_keep_the_others_waiting(tmp_path, documents):
    sources = (
        SourceSettings(name="gone", acl=("public",), settings={"path": "nowhere"}),
        SourceSettings(name="docs", acl=("public",), settings={"path": "documents"}),
    )
    with App(Settings(root=tmp_path, sources=sources, prices=FREE), embedder=HashEmbedder()) as app:
        with pytest.raises(SourceNotFoundError, match="nowhere"):
            app.ingest()
        assert app.catalog.counts().documents == 2


def test_a_number_of_hits_that_is_not_positive_is_refused(build):
    app = build()
    app.ingest()
    for wanted in (0, -1):
        with pytest.raises(InvalidRequestError, match=f"top_k is {wanted}"):
            app.search("deductible", top_k=wanted)
    assert len(app.search("deductible", top_k=1)) == 1


def test_a_text_is_no_list_of_groups():
    with pytest.raises(InvalidRequestError, match="are a text"):
        Principal("eve", "hr")
    assert "group:hr" in Principal("ann", ("hr",)).grants


def test_another_embedder_is_refused_at_the_search_too(build):
    app = build()
    app.ingest()
    app.close()
    other = build(prices={**FREE, "hash/32": FREE["hash/64"]})
    other._given_embedder = HashEmbedder(dim=32)
    with pytest.raises(EmbedderMismatchError, match="hash/64"):
        other.search("deductible")
    assert "embedded with hash/64" in other.status().embedder_note
    assert "hash/64" in dict(other.status().rows())["embedder"]


def test_status_says_that_the_index_is_gone(build, tmp_path):
    app = build()
    app.ingest()
    assert app.status().degraded is None
    app.close()
    shutil.rmtree(tmp_path / ".llmapp/chroma")
    assert "missing" in build().status().degraded


def test_asking_again_and_again_uses_one_connection_to_the_provider(build, provider):
    address = f"http://127.0.0.1:{provider.server_address[1]}/v1"
    model = "openai-compatible:m"
    app = build(model_spec=model, model_options=ModelOptions(base_url=address), prices={**FREE, model: FREE["scripted"]})
    app.ingest()
    for _ in range(3):
        assert app.ask("What is the deductible?").text == "Water damage is covered."
    assert len(provider.connections) == 1


def test_a_key_goes_only_to_the_server_it_is_for(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMAPP_API_KEY", "internal")
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai")
    for options, expected in (({}, "for-openai"), ({"base_url": "http://127.0.0.1:9/v1"}, "internal")):
        settings = Settings(root=tmp_path, model="openai:gpt-4o", model_options=ModelOptions(**options), prices=FREE)
        with App(settings, embedder=HashEmbedder()) as app:
            assert app.model.inner.openai_api_key.get_secret_value() == expected


def test_paths_inside_each_other_are_taken_in_once(build, tmp_path):
    (tmp_path / "more/sub").mkdir(parents=True)
    (tmp_path / "more/sub/c.txt").write_text("The price is three.")
    (tmp_path / "more/d.txt").write_text("The price is four.")
    app = build()
    app.ingest([tmp_path / "more/sub"])
    app.ingest([tmp_path / "more", tmp_path / "more/sub/c.txt"])
    assert app.catalog.counts().documents == 2
    (tmp_path / "more/sub/c.txt").unlink()
    app.ingest([tmp_path / "more"])
    assert [hit.chunk.document_id for hit in app.search("price")] == ["d.txt"]


def test_the_state_is_readable_by_its_owner_only(build, tmp_path):
    build()
    assert (tmp_path / ".llmapp").stat().st_mode & 0o077 == 0


def test_the_model_and_the_prompt_count_the_same_tokens(build):
    app = build()
    app.ingest()
    answer = app.ask("What is the deductible for water damage?")
    assert answer.usage.input_tokens == answer.report.used_tokens


def test_a_project_asks_with_its_own_words(build, tmp_path):
    words = load_template().text.replace('version = "1"', 'version = "acme-1"').replace("without introduction", "in rhyme")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/answer_with_sources.md").write_text(words, encoding="utf-8")
    model = ScriptedChatModel()
    app = build(model=model)
    app.ingest()
    assert app.ask("What is the deductible?").report.decisions[0].item == "answer_with_sources@acme-1"
    assert "in rhyme" in model.requests[0][0].text


def test_a_template_that_there_is_not_and_one_that_asks_for_what_nobody_gives_are_errors(build):
    with pytest.raises(TemplateError, match="poem"):
        build(prompt=PromptSettings(template="poem")).ask("What is the deductible?")
    app = build(prompt=PromptSettings(template="extract"))
    app.ingest()
    with pytest.raises(TemplateError, match="nothing fills the slot schema"):
        app.ask("What is the deductible?")


def test_the_settings_of_a_prompt_reach_the_assembler(tmp_path):
    own = {"budget_tokens": 1_200, "order": "edges", "history_share": 0.3, "summarize_history": True}
    rates = {"scripted": {"input_usd_per_million": 1, "output_usd_per_million": 1}}
    model = ScriptedChatModel(answers=["They spoke of glass."])
    with Parts(Settings(root=tmp_path, prompt=own, prices=rates), model=model) as parts:
        history = [Message(role, "word " * 60) for _ in range(8) for role in ("user", "assistant")]
        prompt = parts.assembler.assemble("When?", [], history=history)
        assert "They spoke of glass." in prompt.messages[1].content
        assert next(share for share in prompt.report.sections if share.name == "history").got_tokens <= 360
        assert len(model.requests) == 1


def test_worked_examples_are_embedded_once_and_what_that_costs_is_in_the_answer(build, documents):
    add_examples(documents.parent / "examples.jsonl", [Example("Is glass covered?", "Yes."), Example("Is water?", "Yes.")])
    prices = {**FREE, "hash/64": PriceSettings(input_usd_per_million=1)}
    first = build(prices=prices)
    first.ingest()
    with_embedding = first.ask("Is water covered?").cost_usd
    again = build(prices=prices)
    answer = again.ask("Is water covered?")
    questions = ["Is glass covered?", "Is water?"]
    tokens = sum(again.embedder.tokenizer.count(text) + again.embedder.tokenizer.special_tokens for text in questions)
    assert with_embedding - answer.cost_usd == pytest.approx(tokens / 1e6)
    assert [decision.section for decision in answer.report.decisions].count("examples") == 2
    without = again.ask("Is water covered?", examples=Examples(()))
    assert "examples" not in {decision.section for decision in without.report.decisions}


async def test_a_stream_and_a_preview_take_examples_as_a_question_does(build, documents):
    add_examples(documents.parent / "examples.jsonl", [Example("Is glass covered?", "Yes.")])
    application = build()
    application.ingest()
    question = "Is water covered?"

    def shown(report):
        return [decision.item for decision in report.decisions if decision.section == "examples"]

    for examples, expected in ((None, ["example 1"]), (Examples(()), [])):
        *_, answer = [part async for part in application.stream(question, principal=LOCAL_USER, examples=examples)]
        preview = await asyncio.to_thread(application.preview, question, examples=examples)
        assert shown(answer.report) == shown(preview.prompt.report) == expected


async def test_an_answer_says_what_was_asked_and_whether_it_follows_on_other_turns(build):
    application = build()
    application.ingest()
    first = await application.answer("Is water covered?", principal=LOCAL_USER)
    turns = [Message("user", first.question), Message("assistant", first.text)]
    second = await application.answer("And glass?", principal=LOCAL_USER, history=turns)
    assert (first.question, first.follows_up) == ("Is water covered?", False)
    assert (second.question, second.follows_up) == ("And glass?", True)
