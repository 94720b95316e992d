import asyncio
import json

import httpx2
import openai
import pytest

from llmapp.server.schemas import AnswerBody
from llmapp.testing.fakes import ScriptedChatModel

QUESTION = [{"role": "user", "content": "How many days of leave do I have?"}]
ANSWER = "Every employee has 28 days of paid leave a year [1]."


@pytest.fixture
def connect(make, serve):
    """The real client of a real server; retries are off, so that a refusal is seen."""
    opened = []

    def build(**options):
        context = serve(make(**options))
        opened.append(context)
        http_client = httpx2.Client()
        opened.append(http_client)
        return openai.OpenAI(
            base_url=context.__enter__() + "/v1", api_key="none is asked for", max_retries=0, http_client=http_client
        )

    yield build
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture
def chat(connect):
    return connect().chat.completions


def test_the_client_gets_an_answer_with_its_citations(chat):
    completion = chat.create(model="llmapp", messages=QUESTION, temperature=0, max_tokens=5, user="u")
    (choice,) = completion.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == ANSWER
    assert choice.finish_reason == "stop"
    assert completion.model == "scripted"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens == 120
    answer = AnswerBody.model_validate(completion.llmapp)
    assert answer.answer == ANSWER
    assert answer.citations[0].uri.endswith("leave.txt")


def test_the_client_gets_the_answer_in_pieces(chat):
    chunks = list(chat.create(model="scripted", messages=QUESTION, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert [delta.role for delta in deltas[1:]] == [None] * (len(deltas) - 1)
    pieces = [delta.content for delta in deltas if delta.content]
    assert len(pieces) > 5
    assert "".join(pieces) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert AnswerBody.model_validate(chunks[-1].llmapp).answer == ANSWER
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_the_client_gets_the_usage_of_a_stream_when_it_asks(chat):
    *_, last = chat.create(model="llmapp", messages=QUESTION, stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage.total_tokens == 120


def test_the_asynchronous_client_works_too(make, serve):
    async def ask(address):
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client:
            stream = await client.chat.completions.create(model="llmapp", messages=QUESTION, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    with serve(make()) as address:
        assert asyncio.run(ask(address)) == ANSWER


def test_the_models_are_the_application_and_the_one_it_uses(connect):
    assert [model.id for model in connect().models.list()] == ["llmapp", "scripted"]


def test_the_history_reaches_the_model_and_the_clients_instructions_do_not(connect):
    model = ScriptedChatModel(answers=[ANSWER])
    messages = [
        {"role": "system", "content": "be rude"},
        {"role": "user", "content": "I work at the desk in Leeds."},
        {"role": "assistant", "content": "Good."},
        {"role": "user", "content": [{"type": "text", "text": "How many days of leave do I have?"}]},
    ]
    connect(chat=model).chat.completions.create(model="llmapp", messages=messages)
    sent = "\n".join(str(message.content) for message in model.requests[0])
    assert "desk in Leeds" in sent
    assert "How many days" in sent
    assert "be rude" not in sent


def test_an_unknown_model_is_not_found(chat):
    with pytest.raises(openai.NotFoundError) as caught:
        chat.create(model="gpt-99", messages=QUESTION)
    assert caught.value.code == "unknown_model"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param is None
    assert "llmapp" in caught.value.body["hint"]
    assert "gpt-99" not in caught.value.body["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_a_bad_request(chat, given, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.create(**{"model": "llmapp", "messages": QUESTION, "stream": stream, **given})
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_that_is_too_long_is_refused_before_a_stream_begins(chat, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.create(model="llmapp", messages=[{"role": "user", "content": "x" * 100_000}], stream=stream)
    assert caught.value.code == "question_too_long"


@pytest.mark.parametrize("stream", [False, True])
def test_no_budget_left_is_a_rate_limit_that_is_not_tried_again(connect, priced, stream):
    client = connect(budgets={"day_usd": 0}, **priced).with_options(max_retries=2)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="llmapp", messages=QUESTION, stream=stream)
    assert caught.value.code == "budget_exceeded"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_stream_that_breaks_off_is_an_error_for_the_client(connect):
    class Dying(ScriptedChatModel):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            yield from list(super()._stream(messages, stop, run_manager, **kwargs))[:3]
            raise ConnectionResetError

    stream = connect(chat=Dying(answers=[ANSWER])).chat.completions.create(model="llmapp", messages=QUESTION, stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code.startswith("model_")


@pytest.fixture(scope="module")
def specified(data_dir):
    """Checks a value against a schema of OpenAI's own description."""
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    text = (data_dir / "openai-openapi" / "openapi.yaml").read_text(encoding="utf-8")
    schemas = with_nulls(yaml.load(text, Loader=yaml.CSafeLoader)["components"]["schemas"])

    def check(name, value):
        root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.Draft202012Validator(root).validate(value)

    return check


def with_nulls(node):
    """OpenAPI 3.0's `nullable` lives on in places of this 3.1 description; JSON Schema does not know it."""
    if isinstance(node, list):
        return [with_nulls(child) for child in node]
    if not isinstance(node, dict):
        return node
    schema = {name: with_nulls(child) for name, child in node.items()}
    return {"anyOf": [schema, {"type": "null"}]} if schema.get("nullable") is True else schema


@pytest.mark.data
def test_every_response_is_of_the_shape_that_openai_describes(client, specified):
    body = {"model": "llmapp", "messages": QUESTION}
    specified("CreateChatCompletionResponse", client.post("/v1/chat/completions", json=body).json())
    specified("ListModelsResponse", client.get("/v1/models").json())
    specified("ErrorResponse", client.post("/v1/chat/completions", json={}).json())
    specified("ErrorResponse", client.get("/v1/nothing").json())
    stream = client.post("/v1/chat/completions", json={**body, "stream": True, "stream_options": {"include_usage": True}})
    *events, done, _ = stream.text.split("\n\n")
    assert done == "data: [DONE]"
    assert len(events) > 5
    for item in events:
        specified("CreateChatCompletionStreamResponse", json.loads(item[6:]))


@pytest.mark.data
@pytest.mark.parametrize("broken", [{"object": "other"}, {"created": "now"}, {"usage": {}}, {"choices": [{}]}], ids=str)
def test_the_check_of_shapes_can_fail(client, specified, broken):
    completion = client.post("/v1/chat/completions", json={"model": "llmapp", "messages": QUESTION}).json()
    with pytest.raises(pytest.importorskip("jsonschema").ValidationError):
        specified("CreateChatCompletionResponse", {**completion, **broken})


def test_the_client_narrows_an_answer_by_a_filter(chat):
    options = {"model": "llmapp", "messages": QUESTION}
    completion = chat.create(**options, extra_body={"llmapp": {"where": 'title = "claims"'}})
    assert not any(citation["uri"].endswith("leave.txt") for citation in completion.llmapp["citations"])
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            chat.create(**options, stream=stream, extra_body={"llmapp": {"where": "title ="}})
        assert caught.value.code == "filter_invalid"
