"""What a second sync embeds: exactly what is new, and nothing where nothing is."""

import pytest

from llmapp.types import PUBLIC
from llmapp_connectors.files import Files

SECTIONS = 4
DOCUMENTS = 60


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request):
    return request.param


def note(number, *, edited=None):
    parts = [
        f"## Part {part}\n\n{'Edited' if part == edited else 'Plain'} words {number}.{part}." for part in range(SECTIONS)
    ]
    return f"# Note {number}\n\n" + "\n\n".join(parts) + "\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "notes"
    (made / "sub").mkdir(parents=True)
    for number in range(DOCUMENTS):
        (made / f"{number:02}.md").write_text(note(number))
    return made


@pytest.fixture
def sync(ingestor, embedder, folder):
    """Syncs; gives the report, and the texts that were embedded."""

    def run():
        embedder.embedded.clear()
        return ingestor.run("notes", Files(path=folder), default_acl=(PUBLIC,)), list(embedder.embedded)

    run()
    return run


def test_an_unchanged_sync_embeds_nothing(sync):
    report, embedded = sync()
    assert (report.unchanged, report.changed, embedded) == (DOCUMENTS, 0, [])


def test_an_edited_section_of_some_documents_embeds_exactly_these(sync, folder):
    for number in (3, 17, 41):
        (folder / f"{number:02}.md").write_text(note(number, edited=number % SECTIONS))
    report, embedded = sync()
    assert (report.changed, report.unchanged) == (3, DOCUMENTS - 3)
    assert sorted(embedded) == sorted(
        f"Note {number} › Part {number % SECTIONS}\n## Part {number % SECTIONS}\n\nEdited words {number}.{number % SECTIONS}."
        for number in (3, 17, 41)
    )


def test_an_edit_that_is_taken_back_before_the_next_sync_embeds_nothing(sync, folder):
    (folder / "05.md").write_text(note(5, edited=1))
    (folder / "05.md").write_text(note(5))
    assert sync()[1] == []


def test_text_put_before_a_section_embeds_nothing_of_the_section(sync, folder):
    (folder / "05.md").write_text(note(5).replace("## Part 2", "## New\n\nSome news.\n\n## Part 2"))
    report, embedded = sync()
    assert (report.changed, len(embedded)) == (1, 1)
    assert "Some news." in embedded[0]


def test_a_moved_or_copied_file_embeds_nothing_since_its_title_is_its_own(sync, folder):
    (folder / "05.md").rename(folder / "sub" / "moved.md")
    (folder / "sub" / "copy.md").write_text(note(6))
    report, embedded = sync()
    assert (report.added, report.deleted, embedded) == (2, 1, [])


def test_a_renamed_file_that_is_titled_by_its_name_is_embedded_under_the_new_one(sync, folder):
    (folder / "old.txt").write_text("Words without a heading.")
    sync()
    (folder / "old.txt").rename(folder / "new.txt")
    assert sync()[1] == ["new\nWords without a heading."]


def test_a_section_that_comes_back_after_its_vector_was_let_go_is_embedded_again(sync, folder):
    (folder / "05.md").unlink()
    assert sync()[1] == []
    (folder / "05.md").write_text(note(5))
    assert len(sync()[1]) == SECTIONS
