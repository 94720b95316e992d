import json
import logging

import pytest

from llmapp.errors import InvalidRequestError, ModelUnavailableError
from llmapp.server.completions import Completion, check_offered, conversation_of, events_of
from llmapp.server.schemas import ChatRequest
from llmapp.types import Answer, Message, PromptReport, Usage


def request(**fields):
    return ChatRequest.model_validate({"model": "llmapp", "messages": [{"role": "user", "content": "q"}], **fields})


def conversation(*turns):
    return conversation_of(request(messages=[{"role": role, "content": content} for role, content in turns]).messages)


def test_the_last_message_is_the_question_and_those_before_it_are_the_history():
    question, history = conversation(("user", "first"), ("assistant", "answer"), ("user", "second"))
    assert question == "second"
    assert history == [Message("user", "first"), Message("assistant", "answer")]


def test_instructions_of_the_client_are_left_out():
    question, history = conversation(("system", "be rude"), ("user", "first"), ("developer", "be loud"), ("user", "second"))
    assert question == "second"
    assert history == [Message("user", "first")]


def test_text_parts_are_joined():
    question, _ = conversation(("user", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]))
    assert question == "one\ntwo"


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "q"), ("assistant", "prefill")],
        [("system", "only instructions")],
        [("user", [{"type": "image_url", "image_url": {"url": "data:"}}])],
        [("user", [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:"}}])],
        [("user", [{"type": "text"}])],
        [("user", None)],
        [("user", [])],
        [("user", "q"), ("assistant", None), ("user", "q")],
    ],
)
def test_a_conversation_that_is_not_a_question_in_text_is_refused(turns):
    with pytest.raises(InvalidRequestError):
        conversation(*turns)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": 0},
        {"tools": [{"type": "function"}]},
        {"functions": [{}]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_is_not_offered_is_refused_and_not_passed_over(fields):
    with pytest.raises(InvalidRequestError) as caught:
        check_offered(request(**fields))
    assert caught.value.hint


def test_what_means_nothing_here_is_passed_over():
    check_offered(
        request(
            n=1,
            tools=[],
            response_format={"type": "text"},
            temperature="hot",
            max_tokens=5,
            seed=1,
            stop=["."],
            logprobs=True,
        )
    )


async def text_then_error():
    yield "a"
    raise ModelUnavailableError("the provider died", hint="try again")


async def unforeseen_error():
    yield "a"
    raise ZeroDivisionError("secret")


def read(events):
    return [json.loads(item[6:]) if not item.startswith(b"data: [DONE]") else "DONE" for item in events]


async def test_an_error_after_the_beginning_is_one_event_and_the_end():
    events = read([item async for item in events_of(text_then_error(), Completion("m"), include_usage=True)])
    assert [item["choices"][0]["delta"] for item in events[:2]] == [{"role": "assistant", "content": ""}, {"content": "a"}]
    assert events[2:] == [
        {
            "error": {
                "code": "model_unavailable",
                "message": "the provider died",
                "hint": "try again",
                "retryable": True,
                "type": "server_error",
                "param": None,
            }
        }
    ]


async def test_an_unforeseen_error_after_the_beginning_shows_nothing_of_itself():
    *_, last = [item async for item in events_of(unforeseen_error(), Completion("m"), include_usage=False)]
    assert json.loads(last[6:])["error"]["code"] == "error"
    assert b"secret" not in last


def known(cause):
    error = ModelUnavailableError("the provider died")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("error", "is_traced"), [(known(ValueError("Bearer sk-live")), False), (ZeroDivisionError(), True)])
async def test_only_what_is_unforeseen_is_logged_with_its_traceback(caplog, error, is_traced):
    async def parts():
        yield "a"
        raise error

    with caplog.at_level(logging.WARNING, logger="llmapp.server"):
        _ = [item async for item in events_of(parts(), Completion("m"), include_usage=False)]
    (record,) = caplog.records
    assert bool(record.exc_info) == is_traced
    assert "sk-live" not in caplog.text


def answer(finish_reason):
    report = PromptReport(3000, 120, 800, True, "counter", ())
    return Answer("28 days", (), "m", Usage(), 0.0, report, {}, finish_reason)


@pytest.mark.parametrize(
    ("reason", "sent"), [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), (None, "stop")]
)
async def test_a_completion_tells_why_it_ended_whole_and_in_pieces(reason, sent):
    async def parts():
        yield "28 days"
        yield answer(reason)

    (choice,) = Completion("m").whole(answer(reason))["choices"]
    assert choice["finish_reason"] == sent
    events = read([item async for item in events_of(parts(), Completion("m"), include_usage=False)])
    assert [item["choices"][0]["finish_reason"] for item in events[:-1]] == [None, None, sent]


async def test_an_error_before_the_beginning_is_raised():
    async def parts():
        raise ModelUnavailableError("the provider is down")
        yield ""

    with pytest.raises(ModelUnavailableError):
        await anext(events_of(parts(), Completion("m"), include_usage=False))


async def test_the_parts_are_closed_when_the_events_are():
    closed = []

    async def parts():
        try:
            while True:
                yield "word"
        finally:
            closed.append(True)

    events = events_of(parts(), Completion("m"), include_usage=False)
    await anext(events)
    await events.aclose()
    assert closed == [True]


def test_two_completions_have_two_ids():
    assert Completion("m").id != Completion("m").id
