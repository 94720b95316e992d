import pytest

from llmapp.errors import (
    ModelAuthError,
    ModelError,
    ModelRateLimitedError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnknownModelError,
)
from llmapp.models.errors import translate_model_error


class StatusError(Exception):
    def __init__(self, status_code, message="no"):
        super().__init__(message)
        self.status_code = status_code


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, ModelAuthError),
        (403, ModelAuthError),
        (404, UnknownModelError),
        (408, ModelTimeoutError),
        (429, ModelRateLimitedError),
        (500, ModelUnavailableError),
        (503, ModelUnavailableError),
        (504, ModelTimeoutError),
        (400, ModelError),
    ],
)
def test_a_status_decides_the_error(status, expected):
    assert type(translate_model_error(StatusError(status), model="openai:x")) is expected


def test_timeouts_and_broken_connections_are_known_by_name():
    connection = RuntimeError("Connection error.")
    connection.__cause__ = ConnectionRefusedError()
    assert isinstance(translate_model_error(TimeoutError()), ModelTimeoutError)
    assert isinstance(translate_model_error(connection), ModelUnavailableError)
    assert isinstance(translate_model_error(ConnectionResetError()), ModelUnavailableError)


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefghijk", "Bearer abc.def", "api_key-12345678", "a1b2c3d4e5f6g7h8i9j0k1l2m3", "sk-ab***********xyz"],
)
def test_what_looks_like_a_key_is_taken_out(secret):
    message = str(translate_model_error(StatusError(400, f"bad key {secret}\nin line 2"), model="openai:x"))
    assert secret.split()[-1] not in message
    assert "\n" not in message


def test_the_providers_reason_for_a_refusal_is_kept():
    assert "context length" in str(translate_model_error(StatusError(400, "maximum context length is 8192 tokens")))


def test_an_unrelated_failure_that_was_being_handled_does_not_give_its_name():
    error = ValueError("the answer of the second provider is no JSON")
    error.__context__ = ConnectionRefusedError("of the first")
    assert type(translate_model_error(error)) is ModelError


def test_an_error_of_ours_is_left_alone():
    error = ModelTimeoutError("late")
    assert translate_model_error(error) is error
