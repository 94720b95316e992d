import pytest

from llmapp.errors import TemplateError
from llmapp.prompting.templates import TemplateLibrary, load_template

_SHORT = '+++\nname = "{}"\nversion = "{}"\ndescription = "Short"\n+++\n=== user ===\n{{{{ question }}}}\n'


@pytest.fixture
def library(tmp_path):
    return TemplateLibrary(tmp_path / "prompts")


@pytest.fixture
def write(tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()

    def written(file, name, version):
        (folder / file).write_text(_SHORT.format(name, version), encoding="utf-8")

    return written


def identities(library):
    return [(template.identity, template.is_built_in) for template in library.all()]


def test_without_a_folder_there_are_the_built_in_ones(library):
    assert identities(library) == identities(TemplateLibrary()) == [
        *((f"{name}@1", True) for name in ("answer_with_sources", "conversation", "extract", "route", "sql")),
        *((f"{name}@2", True) for name in ("summary_part", "summary_whole")),
    ]  # fmt: skip
    assert library.get("sql") == load_template("sql") == load_template("sql@1")


def test_a_file_of_the_project_wins_and_the_built_in_one_is_still_there_by_its_version(library, write):
    write("sql.md", "sql", "acme-2")
    assert library.get("sql").identity == "sql@acme-2"
    assert library.get("sql@1").is_built_in
    assert library.built_in("sql").identity == "sql@1"
    assert library.built_in("poem") is None


def test_versions_of_a_template_stand_beside_each_other(library, write):
    write("poem.md", "poem", "3")
    write("poem@2.md", "poem", "2")
    assert [library.get(name).version for name in ("poem", "poem@2", "poem@3")] == ["3", "2", "3"]
    assert [identity for identity, is_built_in in identities(library) if not is_built_in] == ["poem@3", "poem@2"]


def test_an_unknown_template_is_refused_with_the_nearest(library):
    with pytest.raises(TemplateError, match="no prompt template is named extrct") as caught:
        library.get("extrct")
    assert "did you mean extract?" in caught.value.hint
    with pytest.raises(TemplateError, match="no prompt template is named sql@9") as caught:
        library.get("sql@9")
    assert "did you mean sql@1?" in caught.value.hint


def test_other_words_under_the_name_and_version_of_a_built_in_one_are_refused(library, write, tmp_path):
    write("sql.md", "sql", "1")
    with pytest.raises(TemplateError, match="sql@1 is built in, with other words") as caught:
        library.get("sql")
    assert caught.value.file == str(tmp_path / "prompts/sql.md")
    (tmp_path / "prompts/sql.md").write_text(load_template("sql").text, encoding="utf-8")
    assert library.get("sql").identity == "sql@1"


def test_a_file_is_named_after_its_head(library, write):
    write("poem.md", "sonnet", "1")
    with pytest.raises(TemplateError, match="its head says sonnet@1"):
        library.get("poem")


def test_two_files_of_the_same_name_and_version_are_refused(library, write):
    write("poem.md", "poem", "2")
    write("poem@2.md", "poem", "2")
    with pytest.raises(TemplateError, match=r"poem@2\.md stands beside it"):
        library.get("poem")
    assert library.get("poem@2").file.endswith("poem@2.md")


def test_a_version_that_is_kept_aside_is_used_only_where_it_is_asked_for(library, write):
    write("sql@old.md", "sql", "old")
    write("poem@2.md", "poem", "2")
    assert library.get("sql").is_built_in
    assert library.get("sql@old").version == "old"
    with pytest.raises(TemplateError, match="no prompt template is named poem") as caught:
        library.get("poem")
    assert "did you mean poem@2?" in caught.value.hint


def test_a_built_in_one_is_there_by_its_version_though_the_file_of_that_name_is_wrong(library, write, tmp_path):
    write("sql.md", "sql", "2")
    (tmp_path / "prompts/sql.md").write_text("", encoding="utf-8")
    assert library.get("sql@1").is_built_in
    with pytest.raises(TemplateError, match="does not begin with a head"):
        library.get("sql")


def test_a_wrong_file_is_told_of_beside_those_that_are_whole(library, write, tmp_path):
    write("poem.md", "poem", "2")
    (tmp_path / "prompts/poem.md").write_text(_SHORT.format("poem", "2").replace("question }}", "question"))
    (tmp_path / "prompts/sql.md").write_bytes(b"\xff\xfe")
    write("haiku.md", "haiku", "1")
    assert [identity for identity, is_built_in in identities(library) if not is_built_in] == ["haiku@1"]
    assert len(library.all()) == len(TemplateLibrary().all()) + 1
    poem, sql = library.problems()
    assert (poem.file, poem.line) == (str(tmp_path / "prompts/poem.md"), 7)
    assert "cannot be read" in sql.message


def test_a_name_is_no_path(library, write, tmp_path):
    write("poem.md", "poem", "2")
    (tmp_path / "secret.md").write_text(_SHORT.format("secret", "1"))
    for name in ("../secret", "", "@", "sql@", "prompts/../sql"):
        with pytest.raises(TemplateError, match="no prompt template"):
            library.get(name)


def test_a_copy_has_the_words_and_a_version_of_its_own(library, tmp_path):
    copied = library.copy("sql", version="acme-1")
    assert copied.text == load_template("sql").text.replace('version = "1"', 'version = "acme-1"')
    assert library.get("sql") == copied
    assert copied.file == str(tmp_path / "prompts/sql.md")


def test_a_copy_replaces_no_file_and_takes_no_version_that_is_there_or_that_is_none(library, write, tmp_path):
    write("sql.md", "sql", "mine")
    with pytest.raises(TemplateError, match="cannot be written"):
        library.copy("sql", version="acme-1")
    assert library.get("sql").version == "mine"
    write("route@2.md", "route", "2")
    for version in ("2", 'a "quoted" one', ""):
        with pytest.raises(TemplateError):
            library.copy("route", version=version)
    assert not (tmp_path / "prompts/route.md").exists()


def test_other_files_and_other_names_do_not_stand_in_the_way(library, write, tmp_path):
    write("broken.md", "something else", "1")
    for notes in ("README.md", "readme.md", "notes.md"):
        (tmp_path / "prompts" / notes).write_text("# Notes", encoding="utf-8")
    assert library.get("sql").is_built_in
    assert identities(library) == identities(TemplateLibrary())
    (problem,) = library.problems()
    assert problem.file.endswith("broken.md")
