import json
import sqlite3

import pytest

from llmapp.server.schemas import AnswerBody, ErrorBody, FieldsBody, HitsBody, ReadyBody, SummaryBody
from llmapp.testing.fakes import ScriptedChatModel

QUESTION = {"question": "How many days of leave do I have?"}
JSON = {"Content-Type": "application/json"}


def error_of(response, status):
    assert response.status_code == status, response.text
    error = ErrorBody.model_validate(response.json()).error
    assert set(response.json()["error"]) == {"code", "message", "hint", "retryable"}
    assert "\n" not in error.message
    assert len(response.content) < 600
    return error


def test_a_question_is_answered_with_citations_in_the_documented_shape(client):
    response = client.post("/api/ask", json=QUESTION)
    assert response.status_code == 200
    answer = AnswerBody.model_validate(response.json())
    assert answer.answer == "Every employee has 28 days of paid leave a year [1]."
    assert answer.citations[0].quote == "Every employee has 28 days of paid leave a year."
    assert answer.citations[0].uri.endswith("leave.txt")
    assert answer.usage.output_tokens == 20


def test_a_task_is_summarized_with_citations_in_the_documented_shape(make, client_of):
    model = ScriptedChatModel(answers=["Leave is 28 days [2]; claims are telephoned [1]."])
    response = client_of(make(chat=model)).post("/api/summarize", json={"task": "What is said?", "words": 40})
    assert response.status_code == 200, response.text
    summary = SummaryBody.model_validate(response.json())
    assert summary.summary == "Leave is 28 days [2]; claims are telephoned [1]."
    assert [each.quote for each in summary.citations] == [
        "Every employee has 28 days of paid leave a year.",
        "Claims are reported by telephone to number 555 0100.",
    ]
    assert (summary.documents, summary.rounds, len(summary.requests)) == (2, 0, 1)
    assert "at most 40 words" in model.requests[0][0].text


def test_a_summary_heeds_the_filter_and_the_limits_of_its_body(client):
    ours = {"task": "What is said?", "where": {"title": "leave"}}
    assert SummaryBody.model_validate(client.post("/api/summarize", json=ours).json()).documents == 1
    nothing = client.post("/api/summarize", json={"task": "What?", "where": 'title = "no such"'})
    assert error_of(nothing, 400).code == "nothing_to_summarize"
    assert error_of(client.post("/api/summarize", json={"task": "What?", "words": 0}), 400).code == "invalid_request"
    assert error_of(client.post("/api/summarize", json={"task": " "}), 400).code == "prompt_failed"


def test_json_is_utf8_as_it_stands(client):
    response = client.post("/api/ask", content='{"question": "Wieviel Urlaub für Müller? 休暇"}'.encode(), headers=JSON)
    assert response.headers["content-type"] == "application/json"
    assert response.status_code == 200


def test_a_search_gives_hits_best_first_and_asks_no_model(make, client_of):
    model = ScriptedChatModel()
    response = client_of(make(chat=model)).post("/api/search", json={"query": "paid leave", "top_k": 1})
    found = HitsBody.model_validate(response.json())
    (hit,) = found.hits
    assert (found.notes, found.cost_usd) == ([], 0)
    assert hit.rank == 1
    assert "28 days" in hit.text
    assert not model.requests


def test_a_search_that_asks_the_model_to_rank_says_what_it_has_cost(make, client_of, priced):
    model = ScriptedChatModel(answers=["2,1"])
    application = make(chat=model, retrieval={"reranker": "model"}, **priced)
    found = HitsBody.model_validate(client_of(application).post("/api/search", json={"query": "paid leave"}).json())
    assert (len(found.hits), found.notes, len(model.requests)) == (2, [], 1)
    assert found.cost_usd == application.status().spent_today_usd == 120e-6


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{not json", "the body is not JSON"),
        (b"\x00\xff\xfe\x80binary", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b'{"question": ' + b"[" * 500 + b"]" * 500 + b"}", "question: Input should be a valid string"),
        (b"", "the body is not a JSON object"),
        (b"[1, 2]", "the body is not a JSON object"),
        (b'"text"', "the body is not a JSON object"),
        (b"{}", "question: Field required"),
        (b'{"question": 7}', "question: Input should be a valid string"),
        (b'{"question": null}', "question: Input should be a valid string"),
        (b'{"question": "q", "secret-name": 1}', "secret-name: Extra inputs are not permitted"),
        (b'{"question": "q", "a\\nb' + b"x" * 5000 + b'": 1}', "a?bxxx"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_of_another_shape_is_refused_in_one_line_that_names_the_field(client, content, says):
    error = error_of(client.post("/api/ask", content=content, headers=JSON), 400)
    assert error.code == "invalid_request"
    assert says in error.message


def test_a_body_that_a_web_page_could_send_unasked_is_refused(client):
    response = client.post("/api/ask", content=b'{"question": "q"}', headers={"Content-Type": "text/plain"})
    assert "Content-Type" in error_of(response, 400).hint


def test_half_a_character_is_no_reason_to_fail(client):
    response = client.post("/api/ask", content=b'{"question": "days of leave \\ud83d \\u0000"}', headers=JSON)
    assert response.status_code == 200


def test_nothing_of_the_body_is_repeated(client):
    for body in ({"question": ["sesame-7"]}, {"question": {"sesame-7": 1}}, "sesame-7", ["sesame-7"]):
        assert "sesame-7" not in client.post("/api/ask", json=body).text


@pytest.mark.parametrize(
    ("question", "code"), [("", "prompt_failed"), (" \n", "prompt_failed"), ("x" * 100_000, "question_too_long")]
)
def test_a_question_that_is_blank_or_too_long_is_refused(client, question, code):
    assert error_of(client.post("/api/ask", json={"question": question}), 400).code == code
    assert error_of(client.post("/api/search", json={"query": question}), 400).code == code


@pytest.mark.parametrize("top_k", [0, -1, 1001, "3", 2.5, True])
def test_a_number_of_hits_out_of_bounds_is_refused(client, top_k):
    error = error_of(client.post("/api/search", json={"query": "leave", "top_k": top_k}), 400)
    assert error.message.startswith("top_k: ")


def test_no_budget_left_is_said_with_the_time_to_wait(make, client_of, priced):
    client = client_of(make(budgets={"day_usd": 0}, **priced))
    response = client.post("/api/ask", json=QUESTION)
    error = error_of(response, 429)
    assert error.code == "budget_exceeded"
    assert 0 < int(response.headers["Retry-After"]) <= 86_400
    assert response.headers["x-should-retry"] == "false"
    assert client.post("/api/search", json={"query": "leave"}).status_code == 200


def test_a_model_without_a_price_is_the_operators_mistake(make, client_of, unpriced):
    client = client_of(make(**unpriced))
    error = error_of(client.post("/api/ask", json=QUESTION), 500)
    assert error.code == "unknown_price"
    assert "llmapp.toml" in error.hint


def test_a_server_that_can_answer_is_live_and_ready(client):
    assert client.get("/health/live").json() == {"live": True}
    response = client.get("/health/ready")
    assert response.status_code == 200
    assert ReadyBody.model_validate(response.json()) == ReadyBody(ready=True, degraded=None, pending=0)


def test_a_server_without_its_catalog_is_live_but_not_ready(make, client_of, tmp_path):
    client = client_of(make())
    with sqlite3.connect(tmp_path / ".llmapp/catalog.db") as connection:
        connection.execute("DROP TABLE documents")
    connection.close()
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert ReadyBody.model_validate(response.json()).ready is False
    assert client.get("/health/live").status_code == 200
    assert error_of(client.post("/api/ask", json=QUESTION), 503).code == "catalog_failed"


@pytest.mark.parametrize("where", ['title = "claims"', {"title": "claims"}, '{"title": {"$in": ["claims"]}}'])
def test_a_search_is_narrowed_by_a_filter_as_text_or_as_json(client, where):
    response = client.post("/api/search", json={"query": "paid leave", "where": where})
    assert [hit.uri.rpartition("/")[2] for hit in HitsBody.model_validate(response.json()).hits] == ["claims.txt"]


def test_an_answer_rests_only_on_documents_that_satisfy_the_filter(client):
    answer = client.post("/api/ask", json={**QUESTION, "where": {"title": {"$ne": "leave"}}}).json()
    assert not any(citation["uri"].endswith("leave.txt") for citation in answer["citations"])


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("sesame-7 >", "filter_invalid"),
        ({"title": {"$sesame-7": 1}}, "filter_invalid"),
        ("(" * 10_000, "filter_invalid"),
        ("title = '\ud800", "filter_invalid"),
        (7, "invalid_request"),
        (["title"], "invalid_request"),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_what_is_no_filter_is_the_clients_mistake(client, where, code):
    for route, body in (("/api/ask", QUESTION), ("/api/search", {"query": "leave"})):
        response = client.post(route, content=json.dumps({**body, "where": where}), headers=JSON)
        assert error_of(response, 400).code == code
        assert "sesame-7" not in response.text


def test_the_fields_that_a_filter_may_name_are_listed(client):
    fields = FieldsBody.model_validate(client.get("/api/fields").json()).fields
    assert {"source", "title", "committed_at"} <= {field.name for field in fields}
    error = error_of(client.post("/api/search", json={"query": "leave", "where": {"titel": "x"}}), 400)
    assert error.code == "unknown_field"
    assert "title" in error.hint
