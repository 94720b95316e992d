import pytest

from llmapp.costs.attempt import never_billed


class StatusError(Exception):
    def __init__(self, status_code):
        super().__init__(str(status_code))
        self.status_code = status_code


class ConnectError(Exception):
    """Named as httpx names it."""


class ReadTimeout(Exception):  # noqa: N818
    """Named as httpx names it."""


def caused(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 503, 529])
def test_a_refusal_is_not_billed(status):
    assert never_billed(caused(RuntimeError("wrapped"), StatusError(status)))


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_failure_may_be_billed(status):
    assert not never_billed(StatusError(status))


def test_a_connection_that_was_never_made_is_not_billed():
    assert never_billed(caused(RuntimeError("connection error"), ConnectError()))
    assert never_billed(ConnectionRefusedError())


@pytest.mark.parametrize("error", [ReadTimeout(), ConnectionResetError(), ValueError("what is this?"), KeyboardInterrupt()])
def test_in_doubt_it_is_billed(error):
    assert not never_billed(error)


def test_what_happened_last_decides():
    assert not never_billed(caused(ReadTimeout(), ConnectError()))


def test_an_unrelated_failure_that_was_being_handled_is_no_proof():
    error = ValueError("the answer of the second provider is no JSON")
    error.__context__ = ConnectError("of the first")
    assert not never_billed(error)


def test_a_chain_that_bites_its_tail_ends():
    first, second = RuntimeError(1), RuntimeError(2)
    assert not never_billed(caused(first, caused(second, first)))
