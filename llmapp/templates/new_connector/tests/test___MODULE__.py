"""The connector keeps the contract."""

from pathlib import Path

import pytest
from llmapp.connector import Connector, SourceNotFoundError
from llmapp.testing import ConnectorContract

from __PACKAGE__ import __CLASS__


class TestContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path: Path) -> Connector:
        (tmp_path / "a.txt").write_text("first")
        (tmp_path / "b.txt").write_text("second")
        return __CLASS__(path=tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        list(__CLASS__(path=tmp_path / "nowhere").read(None))
