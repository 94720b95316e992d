"""What an implementation must pass: conformance tests to inherit from.

A connector's author writes

    class TestNotes(ConnectorContract):
        @pytest.fixture
        def connector(self, tmp_path):
            (tmp_path / "a.txt").write_text("hello")
            return Notes(folder=tmp_path)

and gets a test for every check of `llmapp.testing.checks`. The source behind the fixture holds at least one document and
stays as it is during a test. A store's author writes

    class TestMyIndex(VectorIndexContract):
        @pytest.fixture
        def open_index(self, tmp_path):
            return lambda: MyIndex(tmp_path / "store")

and gets a test for every check of `llmapp.testing.index_checks`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmapp.connector import Connector
from llmapp.testing.checks import CHECKS, Check
from llmapp.testing.index_checks import INDEX_CHECKS, run_index_check
from llmapp.testing.index_trial import IndexTrial, OpenIndex
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


class VectorIndexContract:
    """The contract of `llmapp.protocols.VectorIndex`, as tests."""

    @pytest.fixture
    def open_index(self) -> OpenIndex:
        """What opens the store under test, empty in each test at first and later as it was left; to be overridden."""
        raise NotImplementedError("override the fixture `open_index`")

    @pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__)
    def test_contract(self, open_index: OpenIndex, check: Callable[[IndexTrial], None]) -> None:
        """The index keeps one promise."""
        run_index_check(check, IndexTrial(open_index))
