import json

from llmapp.app.shapes import answer_shape, citation_shape, error_shape, found_shape, quarantine_shape
from llmapp.catalog.records import QuarantineRecord
from llmapp.errors import LockedError
from llmapp.prompting.views.shape import report_shape
from llmapp.types import Answer, Chunk, Citation, Decision, Found, Hit, PromptReport, Usage

CHUNK = Chunk("c1", "handbook", "leave.txt", "/d/leave.txt", "Leave", "28 days of leave.", 10, 27, 2)
CITATION = Citation(
    number=1,
    uri="/d/leave.txt",
    title="Leave",
    page=2,
    start_char=10,
    end_char=27,
    quote="28 days of leave.",
    heading="Time off",
    chunk_id="c1",
)


def decision(item, outcome, section="sources"):
    return Decision(item=item, section=section, tokens=5, outcome=outcome, reason="r")


def answer():
    decisions = (
        decision("system", "kept", "system"),
        decision("c1", "kept"),
        decision("c2", "dropped"),
        decision("c3", "dropped"),
    )
    report = PromptReport(3000, 120, 800, True, "counter", decisions)
    usage = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=7)
    return Answer(
        text="28 days [1].",
        citations=(CITATION,),
        model="extractive",
        usage=usage,
        cost_usd=0.25,
        report=report,
        timings_s={"retrieve": 0.0123456789, "total": 1.0},
        question="How long is leave?",
        follows_up=True,
    )


def test_an_answer_has_the_documented_shape():
    shape = answer_shape(answer())

    prompt = shape["prompt"]
    assert (prompt["budget_tokens"], prompt["used_tokens"], prompt["kept"], prompt["dropped"]) == (3000, 120, 1, 2)
    assert [decision["item"] for decision in prompt["decisions"]] == ["system", "c1", "c2", "c3"]
    assert shape == {
        "question": "How long is leave?",
        "follows_up": True,
        "answer": "28 days [1].",
        "citations": [citation_shape(CITATION)],
        "model": "extractive",
        "usage": {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 7, "cache_write_tokens": 0},
        "cost_usd": 0.25,
        "prompt": report_shape(answer().report),
        "queries": [],
        "notes": [],
        "timings_s": {"retrieve": 0.012346, "total": 1.0},
    }


def test_a_citation_says_where_its_words_stand():
    assert citation_shape(CITATION) == {
        "number": 1,
        "uri": "/d/leave.txt",
        "title": "Leave",
        "page": 2,
        "start_char": 10,
        "end_char": 27,
        "quote": "28 days of leave.",
    }


def test_hits_have_the_documented_shape_and_keep_their_order():
    first, second = found_shape(Found((Hit(CHUNK, 0.9, 1, "fused"), Hit(CHUNK, 0.5, 2, "fused"))))["hits"]
    assert first == {
        "rank": 1,
        "score": 0.9,
        "uri": "/d/leave.txt",
        "document_id": "handbook:leave.txt",
        "chunk_id": "c1",
        "start_char": 10,
        "end_char": 27,
        "page": 2,
        "text": "28 days of leave.",
    }
    assert second["rank"] == 2
    assert found_shape(Found((), ("rerank was left out: it is down",))) == {
        "hits": [],
        "notes": ["rerank was left out: it is down"],
        "cost_usd": 0.0,
    }
    assert found_shape(Found((), cost_usd=0.25))["cost_usd"] == 0.25


def test_an_error_says_whether_to_try_again():
    assert error_shape(LockedError("held", hint="wait")) == {
        "error": {"code": "locked", "message": "held", "hint": "wait", "retryable": True}
    }


def test_a_quarantined_document_comes_with_its_reason():
    record = QuarantineRecord("s", "d", "/d", "parse", "parse_failed", "no text", None, 2, "2026-11-23T00:00:00Z")
    assert quarantine_shape([record]) == [
        {
            "document_id": "s:d",
            "uri": "/d",
            "stage": "parse",
            "code": "parse_failed",
            "reason": "no text",
            "attempts": 2,
            "retry": "host",
            "next_try_at": None,
        }
    ]


def test_every_shape_is_json_as_it_stands():
    for shape in (
        answer_shape(answer()),
        found_shape(Found((Hit(CHUNK, 0.9, 1, "fused"),))),
        error_shape(LockedError("held")),
    ):
        assert json.loads(json.dumps(shape)) == shape
