"""Sources by the settings or by a path; secrets come from the environment and show nowhere."""

import json

import pytest

from llmapp.application import App
from llmapp.config import PriceSettings, Settings, SourceSettings, with_secrets
from llmapp.errors import ConfigError, UnknownPluginError
from llmapp.sources import SourceBook
from llmapp.testing.fakes import HashEmbedder

CANARY = "s3cr3t-canary-9182"
GITHUB = {"preset": "github", "variables": {"owner": "acme", "repo": "shop"}}


def book(tmp_path, *sources, **settings):
    return SourceBook(Settings(root=tmp_path, sources=sources, **settings))


def test_a_secret_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", CANARY)
    source = SourceSettings(name="issues", connector="rest", settings={**GITHUB, "token": {"env": "SHOP_TOKEN"}})
    (found,) = book(tmp_path, source).all()
    connector = found.connector
    assert connector.token.get_secret_value() == CANARY
    for shown in (
        repr(connector),
        str(connector),
        connector.model_dump_json(),
        repr(found),
        repr(source),
        source.model_dump_json(),
    ):
        assert CANARY not in shown


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path):
    source = SourceSettings(name="issues", connector="rest", settings={**GITHUB, "token": CANARY})
    (found,) = book(tmp_path, source).all()
    with pytest.raises(ConfigError, match=r"stands in llmapp\.toml") as error:
        _ = found.connector
    assert CANARY not in f"{error.value.message} {error.value.hint}"
    assert "env" in error.value.hint


def test_a_secret_deep_in_the_settings_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", CANARY)
    settings = {"url": "memory://box", "secrets": {"key": {"env": "KEY"}, "secret": "plain"}}
    (found,) = book(tmp_path, SourceSettings(name="box", connector="objects", settings=settings)).all()
    with pytest.raises(ConfigError, match="stands in"):
        _ = found.connector


@pytest.mark.parametrize(
    ("connector", "settings"),
    [
        ("rest", {**GITHUB, "headers": {"Authorization": "Bearer " + CANARY}}),
        ("objects", {"url": "memory://box", "options": {"client": {"aws_secret": CANARY}}}),
        ("langchain", {"loader": "a:B", "arguments": {"api_key": CANARY}}),
    ],
)
def test_what_is_a_secret_by_its_name_is_refused_in_any_table(tmp_path, connector, settings):
    (found,) = book(tmp_path, SourceSettings(name="x", connector=connector, settings=settings)).all()
    with pytest.raises(ConfigError, match="looks like a secret") as error:
        _ = found.connector
    assert CANARY not in f"{error.value.message} {error.value.hint}"


def test_what_only_sounds_like_a_secret_is_taken(tmp_path):
    settings = {**GITHUB, "item": {"metadata": {"token": "token_count"}}, "headers": {"X-Api-Key-Name": "shop"}}
    (found,) = book(tmp_path, SourceSettings(name="x", connector="rest", settings=settings)).all()
    assert found.connector


def test_a_variable_that_is_not_set_is_named(tmp_path):
    source = SourceSettings(name="issues", connector="rest", settings={**GITHUB, "token": {"env": "NOT_SET_ANYWHERE"}})
    (found,) = book(tmp_path, source).all()
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE"):
        _ = found.connector


def test_only_a_table_with_nothing_but_env_is_a_secret(monkeypatch):
    monkeypatch.setenv("A", "x")
    given = {"plain": {"env": "A", "more": 1}, "deep": [{"key": {"env": "A"}}], "number": {"env": 3}}
    resolved = with_secrets(given)
    assert resolved["plain"] == {"env": "A", "more": 1}
    assert resolved["number"] == {"env": 3}
    assert resolved["deep"][0]["key"].get_secret_value() == "x"


def test_a_source_that_cannot_be_made_stands_in_no_others_way(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("# A\n\nSome words.")
    sources = (
        SourceSettings(name="broken", connector="no-such-connector"),
        SourceSettings(name="wrong", connector="files", settings={"pfad": "elsewhere"}),
        SourceSettings(name="list", acl_file="missing.toml", connector="mbox", settings={"path": "box"}),
        SourceSettings(name="notes", acl=("public",), settings={"path": "notes"}),
    )
    free = {"hash/64": PriceSettings(input_usd_per_million=0)}
    with App(Settings(root=tmp_path, sources=sources, prices=free), embedder=HashEmbedder()) as app:
        reports = app.sync()
    assert [(report.source, report.status) for report in reports] == [
        ("broken", "failed"), ("wrong", "failed"), ("list", "failed"), ("notes", "completed")
    ]  # fmt: skip
    assert all(report.error for report in reports[:3])
    assert reports[3].added == 1


def test_a_side_file_is_found_beside_the_settings(tmp_path):
    (tmp_path / "acl.toml").write_text('"hr/*" = ["group:hr"]\n')
    (found,) = book(tmp_path, SourceSettings(name="notes", acl_file="acl.toml", settings={"path": "x"})).all()
    assert found.access.acl_of("hr/a.md") == ("group:hr",)
    assert found.access.acl_of("a.md") == ()


def test_the_settings_of_a_source_survive_json():
    source = SourceSettings(name="issues", connector="rest", settings={"token": {"env": "SHOP_TOKEN"}})
    assert json.loads(source.model_dump_json())["settings"] == {"token": {"env": "SHOP_TOKEN"}}


def test_an_unknown_connector_is_named_with_those_there_are(tmp_path):
    with pytest.raises(UnknownPluginError) as error:
        book(tmp_path).connector("fils", {})
    assert "files" in error.value.hint
