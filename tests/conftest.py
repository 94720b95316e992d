"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from llmapp.catalog.catalog import Catalog
from llmapp.testing.fakes import HashEmbedder

settings.register_profile("shared machine", deadline=None)  # no test is timed: machines are shared
settings.load_profile("shared machine")
_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of evaluation data; the test is skipped where there is none."""
    for folder in (os.environ.get("LLMAPP_DATA"), _ROOT.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no evaluation data")


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog(tmp_path / "catalog.db")
    yield opened
    opened.close()


@pytest.fixture
def embedder():
    return HashEmbedder()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """A test sees no key and no setting of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(("LLMAPP_", "OPENAI_", "ANTHROPIC_", "LANGSMITH_", "LANGCHAIN_")) and name != "LLMAPP_DATA":
            monkeypatch.delenv(name)
