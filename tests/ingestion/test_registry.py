from importlib import metadata

import pytest
from pydantic import BaseModel, SecretStr, field_validator

from llmapp.connector import Checkpoint
from llmapp.errors import ConfigError, MissingDependencyError, UnknownPluginError, UnknownSettingError
from llmapp.ingestion import registry
from llmapp.ingestion.registry import load_connector


class Tickets(BaseModel, frozen=True):
    token: SecretStr
    count: int = 1

    @field_validator("token")
    @classmethod
    def _check(cls, token):
        if len(token.get_secret_value()) < 5:
            raise ValueError(f"{token.get_secret_value()} is too short")
        return token

    def read(self, cursor):
        yield Checkpoint(None)


class NoConnector(BaseModel):
    pass


@pytest.fixture
def installed(monkeypatch):
    def install(**values):
        points = [metadata.EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: metadata.EntryPoints(points))

    return install


def here(name):
    return f"{__name__}:{name}"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    for value in (Tickets, NoConnector):
        monkeypatch.setattr(sys.modules[__name__], value.__name__, value, raising=False)


def test_the_connector_of_files_is_loaded_by_its_name(tmp_path):
    assert load_connector("files", {"path": str(tmp_path)}).path == tmp_path


def test_an_unknown_name_gets_the_nearest_and_all_others():
    with pytest.raises(UnknownPluginError, match="'file'") as caught:
        load_connector("file", {})
    assert "did you mean 'files'" in caught.value.hint


def test_only_the_one_named_is_imported(installed):
    installed(tickets=here("Tickets"), broken="no_such_module:Thing")
    assert load_connector("tickets", {"token": "abcdef"}).count == 1


def test_a_missing_package_is_named(installed):
    installed(broken="no_such_module:Thing")
    with pytest.raises(MissingDependencyError, match="no_such_module"):
        load_connector("broken", {})


@pytest.mark.parametrize("value", ["Absent", "pytest", "NoConnector"])
def test_what_is_no_connector_is_refused(installed, value):
    installed(odd=here(value))
    with pytest.raises(ConfigError):
        load_connector("odd", {})


def test_an_unknown_setting_gets_the_nearest(installed):
    installed(tickets=here("Tickets"))
    with pytest.raises(UnknownSettingError, match="'tokn'") as caught:
        load_connector("tickets", {"tokn": "abcdef"})
    assert "did you mean 'token'" in caught.value.hint


def test_a_wrong_setting_is_one_line_with_field_and_rule(installed):
    installed(tickets=here("Tickets"))
    with pytest.raises(ConfigError, match=r"^connector tickets: count: Input should be a valid integer[^\n]*$"):
        load_connector("tickets", {"token": "abcdef", "count": "many"})


@pytest.mark.parametrize("settings", [{"token": "s3cr"}, {"token": ["s3cr"]}, {"token": "s3cret", "count": "s3cr"}])
def test_a_secret_is_never_repeated(installed, settings):
    installed(tickets=here("Tickets"))
    with pytest.raises(ConfigError) as caught:
        load_connector("tickets", settings)
    assert "s3cr" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
