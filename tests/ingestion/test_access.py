import pytest

from llmapp.errors import ConfigError
from llmapp.ingestion.access import AccessRules, is_grant, read_rules


def test_the_first_pattern_that_matches_wins_and_the_default_takes_the_rest():
    rules = AccessRules(("public",), {"hr/open/*": ("group:staff",), "hr/*": ("group:hr",)})
    assert rules.acl_of("hr/open/a.md") == ("group:staff",)
    assert rules.acl_of("hr/deep/er/a.md") == ("group:hr",)
    assert rules.acl_of("sales/a.md") == ("public",)


def test_without_any_rule_nobody_may_read():
    assert AccessRules().acl_of("anything") == ()


def test_rules_differ_when_a_list_a_pattern_or_their_order_differs():
    one, two = {"a*": ("public",), "b*": ("user:ann",)}, {"b*": ("user:ann",), "a*": ("public",)}
    seen = [AccessRules(), AccessRules(("public",)), AccessRules((), one), AccessRules((), two)]
    assert len({tuple(rules.parts()) for rules in seen}) == 4
    assert AccessRules(("a", "b")).parts() == AccessRules(("b", "a")).parts()


def test_a_side_file_is_read(tmp_path):
    (tmp_path / "acl.toml").write_text('"hr/*" = ["group:hr", "user:ann"]\n"*" = []\n')
    rules = read_rules(("public",), tmp_path / "acl.toml")
    assert rules.acl_of("hr/x") == ("group:hr", "user:ann")
    assert rules.acl_of("other") == ()


@pytest.mark.parametrize(
    "text", ['"hr/*" = "group:hr"', '"hr/*" = ["hr"]', '"hr/*" = [1]', "no toml at all", '[hr]\nx = ["public"]']
)
def test_a_side_file_that_could_be_misread_is_refused(tmp_path, text):
    (tmp_path / "acl.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_rules((), tmp_path / "acl.toml")


def test_a_side_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"acl\.toml"):
        read_rules(("public",), tmp_path / "acl.toml")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("public", True),
        ("user:ann", True),
        ("group:a b", True),
        ("tenant:x", True),
        ("Public", False),
        ("group:", False),
        ("hr", False),
    ],
)
def test_a_grant_has_a_known_form(name, known):
    assert is_grant(name) is known


@pytest.mark.parametrize("name", ["Public", "group:", "hr"])
def test_a_list_with_a_grant_of_no_known_form_is_refused(name):
    with pytest.raises(ConfigError) as error:
        read_rules((name,), None)
    assert "tenant:NAME" in error.value.hint
