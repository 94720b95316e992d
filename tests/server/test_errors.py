import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest

from llmapp import errors
from llmapp.errors import OverloadedError
from llmapp.server.errors import STATUS, body_of, http_status, response_to, retry_after_s


def leaves(kind=errors.LLMAppError):
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [kind]


def made(kind):
    """An error of that kind, whatever its constructor takes."""
    error = kind.__new__(kind)
    errors.LLMAppError.__init__(error, "message", hint="hint")
    return error


def over_budget(resets_at):
    when = resets_at and resets_at.timestamp()
    return errors.BudgetExceededError(scope="user:7", limit_usd=1, committed_usd=1, requested_usd=1, resets_at=when)


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_tree_stands_in_the_table_itself_or_by_its_family(kind):
    assert any(above in STATUS for above in kind.__mro__)
    assert http_status(made(kind)) in {400, 404, 409, 413, 422, 429, 500, 502, 503, 504}


def test_an_error_that_may_pass_by_itself_is_never_the_clients_fault():
    for kind in leaves():
        if kind.retryable:
            assert http_status(made(kind)) == 429 or http_status(made(kind)) >= 500


def test_the_nearest_class_decides():
    assert http_status(made(errors.CatalogVersionError)) == STATUS[errors.CatalogError]
    assert http_status(made(errors.EmbedderMismatchError)) == 500
    assert http_status(errors.LLMAppError("unforeseen")) == 500


def test_every_status_is_explained_in_the_documentation(client):
    description = client.get("/openapi.json").json()["info"]["description"]
    for status in {*STATUS.values(), 405}:
        assert str(status) in description


def test_a_budget_is_to_be_waited_for_until_its_next_window():
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    assert retry_after_s(over_budget(midnight), midnight - timedelta(hours=12)) == 12 * 3600 + 1
    there = timezone(timedelta(hours=9))
    assert retry_after_s(over_budget(midnight), (midnight - timedelta(hours=12)).astimezone(there)) == 12 * 3600 + 1
    assert retry_after_s(over_budget(midnight), midnight - timedelta(microseconds=1)) == 1


def test_no_time_is_named_that_nobody_knows():
    assert retry_after_s(over_budget(None)) is None
    assert retry_after_s(errors.ModelRateLimitedError("slow down")) is None


def test_only_the_openai_routes_have_openais_fields():
    error = errors.UnknownModelError("no such model", hint="choose another")
    ours = {"code": "unknown_model", "message": "no such model", "hint": "choose another", "retryable": False}
    assert body_of(error, path="/api/ask") == {"error": ours}
    assert body_of(error, path="/v1/models") == {"error": {**ours, "type": "invalid_request_error", "param": None}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidRequestError("m"), "invalid_request_error"),
        (OverloadedError("m"), "rate_limit_error"),
        (errors.ModelTimeoutError("m"), "server_error"),
    ],
)
def test_openais_type_follows_the_status(error, kind):
    assert body_of(error, path="/v1/chat/completions")["error"]["type"] == kind


@pytest.mark.parametrize(
    ("error", "header"), [(OverloadedError("m"), "true"), (over_budget(datetime(2090, 1, 1, tzinfo=UTC)), "false")]
)
def test_clients_are_told_whether_to_try_again(error, header):
    response = response_to(error, path="/")
    assert response.headers["x-should-retry"] == header
    assert int(response.headers["retry-after"]) >= 1


def test_a_route_or_method_that_is_not_there_is_said_in_our_shape(client):
    missing = client.get("/nothing")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "invalid_request"
    wrong = client.get("/api/ask")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["error"]["message"] == "the route does not take this method"


def test_an_unforeseen_error_shows_nothing_of_itself(make, client_of, monkeypatch):
    application = make()
    client = client_of(application)
    monkeypatch.setattr(application, "find", lambda *_, **__: 1 / 0)
    response = client.post("/api/search", json={"query": "leave"})
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "error"
    assert "division" not in response.text
    assert "Traceback" not in response.text


def test_what_the_operator_must_see_is_logged(make, client_of, caplog, unpriced):
    client = client_of(make(**unpriced))
    with caplog.at_level(logging.WARNING, logger="llmapp.server"):
        client.post("/api/ask", json={"question": "leave"})
        client.post("/api/ask", json={"question": ""})
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["unknown_price"]
