"""What an implementation must pass: conformance tests to inherit from.

A connector's author writes

    class TestNotes(ConnectorContract):
        @pytest.fixture
        def connector(self, tmp_path):
            (tmp_path / "a.txt").write_text("hello")
            return Notes(folder=tmp_path)

and gets a test for every check of `llmapp.testing.checks`. The source behind the fixture holds at least one document and
stays as it is during a test.
"""

from __future__ import annotations

import pytest

from llmapp.connector import Connector
from llmapp.testing.checks import CHECKS, Check
from llmapp.testing.trial import Trial


class ConnectorContract:
    """The contract of `llmapp.connector`, as tests."""

    @pytest.fixture
    def connector(self) -> Connector:
        """The connector under test; to be overridden."""
        raise NotImplementedError("override the fixture `connector`")

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_contract(self, connector: Connector, check: Check) -> None:
        """The connector keeps one promise."""
        check.run(Trial(connector))
