"""Packages as they lie on disk: each is written into a folder of the search path."""

import sys
from importlib import metadata

import pytest

from llmapp.errors import ConfigError, MissingDependencyError, UnknownPluginError, UnknownSettingError
from llmapp.ingestion.plugins import GROUP, Plugin, Unreadable, installed
from llmapp.ingestion.registry import load_connector

TICKETS = """
from pydantic import BaseModel, Field, SecretStr, field_validator
from llmapp.connector import Checkpoint
from llmapp.errors import ConfigError

class Login(BaseModel, frozen=True):
    user: str
    password: SecretStr | None = None

class Tickets(BaseModel, frozen=True):
    token: SecretStr
    count: int = 1
    login: Login | None = None
    mirrors: list[Login] = []
    by_team: dict[str, Login] = {}
    since: str = Field(default="", alias="from")

    @field_validator("token")
    @classmethod
    def _check(cls, token):
        if token.get_secret_value() == "crash!":
            raise RuntimeError(token.get_secret_value())
        if token.get_secret_value() == "advise":
            raise ConfigError("tickets and mirrors do not go together", hint="choose one")
        if token.get_secret_value() == "leave!":
            raise SystemExit(token.get_secret_value())
        if len(token.get_secret_value()) < 5:
            raise ValueError(f"{token.get_secret_value()} is too short")
        return token

    def read(self, cursor):
        yield Checkpoint(None)

class NoConnector(BaseModel):
    pass

number = 1
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package: its module, and what makes it an installed one."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def write(name="acme", code=TICKETS, entry="tickets = acme:Tickets", points=None, meta=None, folder=tmp_path):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(code)
        if meta != "":
            (info / "METADATA").write_bytes(meta or f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode())
        (info / "entry_points.txt").write_bytes(points or f"[{GROUP}]\n{entry}\n".encode())
        return info

    yield write
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def load(**settings):
    return load_connector("tickets", {"token": "abcdef"} | settings)


def test_the_connector_of_files_is_loaded_by_its_name(tmp_path):
    assert load_connector("files", {"path": str(tmp_path)}).path == tmp_path


def test_an_unknown_name_gets_the_nearest_and_all_others():
    with pytest.raises(UnknownPluginError, match="'file'") as caught:
        load_connector("file", {})
    assert "did you mean 'files'" in caught.value.hint


def test_only_the_one_named_is_imported(package):
    package()
    package("beside", code="raise SystemExit('imported')", entry="beside = beside:Thing")
    assert load().count == 1
    assert "beside" not in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "no_such_module"),
        ("def f(:", "SyntaxError"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("from llmapp.connector import NothingOfThatName", "ImportError"),
        ("Other = 1", "AttributeError"),
        ("raise BaseExceptionGroup('g', [KeyError(1)])", "ExceptionGroup"),
        ("def f(): f()\nf()", "RecursionError"),
        ("Tickets = 1", "not a pydantic model"),
        ("class Tickets: pass", "not a pydantic model"),
    ],
)
def test_a_broken_package_is_an_error_of_its_own_connector_only(package, tmp_path, code, reason):
    package(code=code)
    with pytest.raises(ConfigError, match=r"^connector tickets of acme cannot be loaded") as caught:
        load()
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert "install acme again" in caught.value.hint
    assert load_connector("files", {"path": str(tmp_path)})


def test_ctrl_c_during_an_import_ends_the_program(package):
    package(code="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()


@pytest.mark.parametrize(
    "value", ["acme", "acme:", ":Tickets", "acme.Tickets()", "", "no module:Tickets", "acme:Tickets:x", "../acme:x"]
)
def test_an_entry_point_that_names_no_class_is_told(package, value):
    package(entry=f"tickets = {value}")
    with pytest.raises(ConfigError, match="connector tickets of acme cannot be loaded") as caught:
        load()
    assert caught.value.hint


@pytest.mark.parametrize(
    "points", [b"\xff\xfe\x00", b"[llmapp.connectors]\nno equals sign\n", b"[llmapp.connectors]\n= nameless\n=\n"]
)
def test_a_package_with_unreadable_entry_points_is_in_nobodys_way(package, tmp_path, points):
    package("shattered", points=points)
    package()
    assert load().count == 1
    assert load_connector("files", {"path": str(tmp_path)})


def test_a_name_that_is_not_found_brings_up_the_packages_that_cannot_be_read(package):
    package("shattered", points=b"\xff\xfe\x00")
    with pytest.raises(UnknownPluginError, match="the metadata of shattered cannot be read: UnicodeDecodeError"):
        load()
    assert [one.package for one in installed() if isinstance(one, Unreadable)] == ["shattered"]


@pytest.mark.parametrize("meta", ["", b"\xff\xfe no metadata", b"Version: 1.0\n"])
def test_a_package_that_does_not_say_its_name_works_all_the_same(package, meta):
    package(meta=meta)
    assert load().count == 1


def test_two_packages_with_the_same_name_are_refused_whatever_their_order(package):
    package()
    package("umbrella", code="raise SystemExit", entry="tickets = umbrella:Tickets")
    with pytest.raises(ConfigError, match="connector tickets is brought by acme and umbrella") as caught:
        load()
    assert "uninstall" in caught.value.hint


def test_nobody_takes_a_name_of_llmapp(package, tmp_path):
    package(entry="files = acme:Tickets")
    assert type(load_connector("files", {"path": str(tmp_path)})).__module__ == "llmapp_connectors.files"


def test_the_package_that_comes_first_on_the_search_path_hides_its_older_copies(package, tmp_path, monkeypatch):
    package(folder=tmp_path / "old", code="raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path / "old")
    monkeypatch.syspath_prepend(tmp_path)
    package()
    assert [one.package for one in installed() if isinstance(one, Plugin) and one.name == "tickets"] == ["acme"]
    assert load().count == 1


def test_a_package_that_a_connector_of_llmapp_needs_is_named_with_its_extra():
    plugin = Plugin("sql", "llmapp", metadata.EntryPoint("sql", "no_such_module:Sql", GROUP))
    with pytest.raises(MissingDependencyError, match="no_such_module is not installed") as caught:
        plugin.load()
    assert "llmapp[sql]" in caught.value.hint


def test_what_has_no_read_is_refused(package):
    package(entry="tickets = acme:NoConnector")
    with pytest.raises(ConfigError, match="no method read"):
        load_connector("tickets", {})


def test_an_unknown_setting_gets_the_nearest_before_what_is_missing(package):
    package()
    with pytest.raises(UnknownSettingError, match="'tokn'") as caught:
        load_connector("tickets", {"tokn": "abcdef"})
    assert "did you mean 'token'" in caught.value.hint
    assert "from" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"login": {"usr": "me"}}, "login.usr"),
        ({"mirrors": [{"user": "a"}, {"user": "b", "usr": "c"}]}, "mirrors.1.usr"),
        ({"by_team": {"blue": {"user": "a", "usr": "b"}}}, "by_team.blue.usr"),
    ],
)
def test_an_unknown_setting_of_a_table_gets_its_path_and_the_nearest(package, settings, path):
    package()
    with pytest.raises(UnknownSettingError, match=f"no setting '{path}'") as caught:
        load(**settings)
    assert caught.value.hint == "did you mean 'user'? its settings are: user, password"


def test_a_setting_has_the_name_that_its_field_goes_by(package):
    package()
    assert load(**{"from": "May"}).since == "May"
    with pytest.raises(UnknownSettingError):
        load(since="May")


def test_a_wrong_setting_is_one_line_with_field_and_rule(package):
    package()
    with pytest.raises(ConfigError, match=r"^connector tickets: count: Input should be a valid integer[^\n]*$"):
        load(count="many")


def test_what_a_connector_says_of_its_settings_in_a_typed_error_is_told(package):
    package()
    with pytest.raises(ConfigError, match=r"^tickets and mirrors do not go together$"):
        load(token="advise")


@pytest.mark.parametrize(
    "settings",
    [
        {"token": "s3cr"},
        {"token": ["s3cr"]},
        {"token": "s3cret", "count": "s3cr"},
        {"login": {"user": ["s3cr"]}},
        {"login": "s3cr"},
        {"login": {"user": "me", "password": {"s3cr": 1}}},
        {"mirrors": {"user": "s3cr"}},
        {"token": "crash!"},
        {"token": "leave!"},
    ],
)
def test_what_was_given_is_never_repeated(package, settings):
    package()
    with pytest.raises(ConfigError) as caught:
        load(**settings)
    shown = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert not [word for word in ("s3cr", "crash!", "leave!") if word in shown]
