from datetime import UTC, datetime, timedelta

import pytest

from llmapp.catalog.records import QuarantineRecord
from llmapp.errors import (
    LimitExceededError,
    ParseError,
    ParserCrashedError,
    SourceUnavailableError,
    UnsupportedMediaTypeError,
)
from llmapp.ingestion.retrying import RetryPolicy, who_retries

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request):
    return request.param


def policy(at=START, **settings):
    return RetryPolicy(now=lambda: at, **settings)


def wait_s(attempts, **settings):
    return (datetime.fromisoformat(policy(**settings).next_try_at(attempts, "host")) - START).total_seconds()


def test_waits_double_up_to_the_longest():
    assert [wait_s(n, first_s=100, longest_s=500, jitter=0) for n in (1, 2, 3, 4, 40)] == [100, 200, 400, 500, 500]


def test_waits_are_spread_so_that_one_outage_does_not_come_back_at_once():
    waits = {wait_s(1, first_s=1000, jitter=0.5) for _ in range(50)}
    assert len(waits) > 10
    assert 500 <= min(waits) <= max(waits) <= 1000


def test_what_lasts_is_never_due():
    assert policy().next_try_at(1, "never") == ""
    record = QuarantineRecord("s", "a", "a", "parse", "parse_failed", "broken", retry="never")
    assert not policy(START + timedelta(days=1000)).is_due(record)


def test_a_document_is_due_when_its_time_has_come_and_not_before():
    record = QuarantineRecord("s", "a", "a", "read", "x", "x", next_try_at=(START + timedelta(minutes=5)).isoformat())
    assert not policy().is_due(record)
    assert policy(START + timedelta(minutes=5)).is_due(record)


def test_what_an_operator_has_let_go_of_is_not_due():
    record = QuarantineRecord("s", "a", "a", "read", "x", "x", is_dropped=True)
    assert not policy().is_due(record)


@pytest.mark.parametrize(
    ("error", "who"),
    [
        (ParseError, "never"),
        (UnsupportedMediaTypeError, "never"),
        (LimitExceededError, "never"),
        (ParserCrashedError, "host"),
        (SourceUnavailableError, "host"),
    ],
)
def test_transient_and_permanent_failures_are_told_apart(error, who):
    assert who_retries(error.code) == who


def test_a_source_that_remembers_its_failures_tries_them_itself():
    assert who_retries(SourceUnavailableError.code, by_source=True) == "source"
