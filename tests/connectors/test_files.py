import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from llmapp.connector import Checkpoint, ConnectorError, Failure, SourceNotFoundError, Upsert
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.files import Files


class TestFilesKeepTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "a.md").write_text("# A")
        (tmp_path / "sub" / "b.txt").write_text("b")
        (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
        return Files(path=tmp_path)


def read(path, **settings):
    return list(Files(path=path, **settings).read(None))


def documents(path, **settings):
    return {change.document.id: change.document for change in read(path, **settings) if isinstance(change, Upsert)}


def failures(path, **settings):
    return {change.id: change.error for change in read(path, **settings) if isinstance(change, Failure)}


def test_ids_are_paths_below_the_root_and_uris_are_as_the_user_wrote_them(tmp_path, monkeypatch):
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "sub" / "a b.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    document = documents(Path("docs"))["sub/a b.txt"]
    assert document.uri == "docs/sub/a b.txt"
    assert document.content() == b"x"


def test_one_file_is_a_source_of_one_document(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("y")
    assert list(documents(tmp_path / "a.txt")) == ["a.txt"]
    assert documents(tmp_path / "a.txt")["a.txt"].uri == (tmp_path / "a.txt").as_posix()


def test_order_is_that_of_the_names(tmp_path):
    for name in ("b.txt", "a.txt", "c/d.txt", "B.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(documents(tmp_path)) == sorted(["b.txt", "a.txt", "c/d.txt", "B.txt"])


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("**/*", {"a.md", "b.txt", "x/c.md", "x/y/d.md"}),
        ("*.md", {"a.md"}),
        ("**/*.md", {"a.md", "x/c.md", "x/y/d.md"}),
        ("x/**/*.md", {"x/c.md", "x/y/d.md"}),
        ("x/*", {"x/c.md"}),
        ("**", {"a.md", "b.txt", "x/c.md", "x/y/d.md"}),
        ("?.txt", {"b.txt"}),
    ],
)
def test_glob_chooses_the_files(tmp_path, glob, expected):
    for name in ("a.md", "b.txt", "x/c.md", "x/y/d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert set(documents(tmp_path, glob=glob)) == expected


def test_settings_are_never_read(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("llmapp.toml", "sub/llmapp.toml", "seen.txt"):
        (tmp_path / name).write_text("token = 's3cret'")
    (tmp_path / "link.txt").symlink_to(tmp_path / "llmapp.toml")
    assert set(documents(tmp_path)) == {"seen.txt"}
    assert set(failures(tmp_path)) == {"link.txt"}
    assert documents(tmp_path / "llmapp.toml") == {}
    assert "settings" in failures(tmp_path / "llmapp.toml")["llmapp.toml"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    (tmp_path / ".git").mkdir()
    for name in (".env", ".git/config", "seen.txt"):
        (tmp_path / name).write_text("x")
    assert set(documents(tmp_path)) == {"seen.txt"}


def test_a_hidden_root_is_read_when_it_is_named(tmp_path):
    (tmp_path / ".notes").mkdir()
    (tmp_path / ".notes" / "a.txt").write_text("x")
    assert set(documents(tmp_path / ".notes")) == {"a.txt"}


def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert documents(tmp_path / "root") == {}
    assert "out of the folder" in failures(tmp_path / "root")["link.txt"]


def test_a_link_to_a_hidden_file_is_refused(tmp_path):
    (tmp_path / ".env").write_text("KEY=1")
    (tmp_path / "link.txt").symlink_to(tmp_path / ".env")
    assert "hidden" in failures(tmp_path)["link.txt"]


def test_a_link_within_the_root_is_followed(tmp_path):
    (tmp_path / "v2.txt").write_text("two")
    (tmp_path / "latest.txt").symlink_to("v2.txt")
    found = documents(tmp_path)
    assert found["latest.txt"].content() == b"two"
    assert found["latest.txt"].revision == found["v2.txt"].revision


def test_a_link_to_a_folder_is_not_followed_so_a_cycle_ends(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("x")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert set(documents(tmp_path)) == {"sub/a.txt"}


def test_a_link_put_in_place_of_a_file_after_listing_is_not_read(tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "root").mkdir()
    target = tmp_path / "root" / "a.txt"
    target.write_text("x")
    document = documents(tmp_path / "root")["a.txt"]
    target.unlink()
    target.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(OSError, match="symbolic link"):
        document.content()


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match="nowhere does not exist") as caught:
        read(tmp_path / "nowhere")
    assert caught.value.hint


def test_a_touched_file_has_the_same_revision(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    before = documents(tmp_path)["a.txt"].revision
    os.utime(tmp_path / "a.txt", (1, 1))
    assert documents(tmp_path)["a.txt"].revision == before


def test_an_edit_that_keeps_size_and_time_has_another_revision(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("deductible 500")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    before = documents(tmp_path)["a.txt"].revision
    file.write_text("deductible 900")
    os.utime(file, ns=times)
    assert documents(tmp_path)["a.txt"].revision != before


def test_content_that_changed_since_listing_is_not_passed_off_as_the_old_revision(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    document = documents(tmp_path)["a.txt"]
    (tmp_path / "a.txt").write_text("new")
    with pytest.raises(ConnectorError, match="changed while it was read"):
        document.content()


@pytest.mark.parametrize(
    "name", ["a b.txt", "Übersicht – größer.txt", "名前.txt", "line\nbreak.txt", "quote'\".txt", "%41.txt"]
)
def test_odd_names_come_through(tmp_path, name):
    (tmp_path / name).write_text("x")
    assert documents(tmp_path)[name].content() == b"x"


def test_a_name_that_is_no_unicode_gets_a_readable_id(tmp_path):
    (tmp_path / "x").mkdir()
    with contextlib.suppress(OSError):
        (tmp_path / "x" / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    if not list((tmp_path / "x").iterdir()):
        pytest.skip("this file system takes only Unicode names")
    assert documents(tmp_path / "x")["caf\\xe9.txt"].content() == b"x"


def test_pipes_and_devices_are_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("x")
    changes = read(tmp_path)
    assert [type(change) for change in changes] == [Upsert, Checkpoint]


def test_a_link_to_a_device_is_a_failure_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.txt").symlink_to("pipe")
    assert "not a regular file" in failures(tmp_path)["link.txt"]


def test_a_file_over_the_limit_is_a_failure(tmp_path):
    (tmp_path / "big.txt").write_text("12345")
    assert failures(tmp_path, max_bytes=4) == {"big.txt": "5 bytes, the limit is 4"}
    assert set(documents(tmp_path, max_bytes=5)) == {"big.txt"}


def test_a_file_that_vanishes_during_the_run_is_a_failure(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    changes = Files(path=tmp_path).read(None)
    assert isinstance(next(changes), Upsert)
    (tmp_path / "b.txt").unlink()
    assert next(changes) == Failure("b.txt", "No such file or directory", uri=(tmp_path / "b.txt").as_posix())


@pytest.fixture
def as_nobody():
    """A folder that is read by a user without rights: root reads everything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    is_root = os.geteuid() == 0
    try:
        yield folder, lambda: os.seteuid(65534) if is_root else None
    finally:
        os.seteuid(0) if is_root else None
        for entry in folder.rglob("*"):
            entry.chmod(0o700)
        shutil.rmtree(folder)


def test_a_file_without_permission_is_a_failure(as_nobody):
    folder, drop_rights = as_nobody
    (folder / "a.txt").write_text("x")
    (folder / "a.txt").chmod(0)
    drop_rights()
    assert failures(folder) == {"a.txt": "Permission denied"}


def test_a_folder_without_permission_stops_the_run(as_nobody):
    folder, drop_rights = as_nobody
    (folder / "sub").mkdir()
    (folder / "sub").chmod(0)
    drop_rights()
    with pytest.raises(ConnectorError, match="cannot be listed: Permission denied"):
        read(folder)


def test_an_empty_folder_is_only_a_checkpoint(tmp_path):
    assert read(tmp_path) == [Checkpoint(None)]


def test_the_total_is_what_a_read_mentions(tmp_path):
    for name in ("a.txt", "sub/b.txt", "sub/.hidden", ".hidden/c.txt", "llmapp.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    assert Files(path=tmp_path).total() == len(documents(tmp_path)) + len(failures(tmp_path)) == 3
    assert Files(path=tmp_path, glob="*.txt").total() == 2
    assert Files(path=tmp_path / "a.txt").total() == 1
    with pytest.raises(SourceNotFoundError):
        Files(path=tmp_path / "nowhere").total()
