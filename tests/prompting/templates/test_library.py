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
        (f"{name}@1", True)
        for name in ("answer_with_sources", "conversation", "extract", "route", "sql", "summary_part", "summary_whole")
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
    with pytest.raises(TemplateError, match="that of another file"):
        library.all()


def test_a_file_that_is_no_text_is_refused(library, write, tmp_path):
    write("poem.md", "poem", "2")
    (tmp_path / "prompts/poem.md").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match="cannot be read") as caught:
        library.all()
    assert caught.value.file.endswith("poem.md")


def test_other_files_and_other_names_do_not_stand_in_the_way(library, write, tmp_path):
    write("broken.md", "something else", "1")
    (tmp_path / "prompts/README.md").write_text("# Notes", encoding="utf-8")
    assert library.get("sql").is_built_in
    (tmp_path / "prompts/broken.md").unlink()
    assert identities(library) == identities(TemplateLibrary())
