import bz2
import gzip
import io
import lzma
import shutil
import stat
import subprocess
import tarfile
import zipfile

import pytest

from llmapp.errors import IngestionError, LimitExceededError, ParseError
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.parsing.archives import Budget, members
from llmapp.ingestion.parsing.limits import Limits
from llmapp.ingestion.parsing.media_types import sniff
from llmapp.ingestion.parsing.reading import Reader


def packed(files, *, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(*entries, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for named, content in entries:
            entry = tarfile.TarInfo(named) if isinstance(named, str) else named
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def read(content, name="box.zip", *, passwords=(), **limits):
    return Reader(Limits(**limits), passwords).read(content, sniff(content, name=name), name).pages[0]


def test_each_file_stands_under_its_path_in_the_order_of_paths():
    content = packed({"b/two.md": "# Inner\n\nsecond", "a.txt": "# no heading\nfirst", "b/": ""})
    assert read(content) == "# a.txt\n\n\\# no heading\nfirst\n\n# b/two.md\n\n## Inner\n\nsecond"


def test_each_file_is_read_by_its_own_type():
    text = read(packed({"t.csv": "name,phone\nClaims,1\n", "p.html": "<html><body><h1>Menu</h1><p>Tea</p></body></html>"}))
    assert "Row 1:\n  name: Claims\n  phone: 1" in text
    assert "# p.html\n\n## Menu\n\nTea" in text


def test_archives_inside_are_read_under_their_paths():
    inner = packed({"deep.txt": "deep words"}, method=zipfile.ZIP_STORED)
    text = read(packed({"in.zip": inner, "a.txt.gz": gzip.compress(b"packed words")}, method=zipfile.ZIP_STORED))
    assert "# in.zip/deep.txt\n\ndeep words" in text
    assert "# a.txt.gz/a.txt\n\npacked words" in text


@pytest.mark.parametrize(("mode", "name"), [("w", "a.tar"), ("w:gz", "a.tgz"), ("w:bz2", "a.tar.bz2"), ("w:xz", "a.tar.xz")])
def test_tar_archives_are_read_however_they_are_packed(mode, name):
    assert read(tarred(("x/one.txt", b"one"), mode=mode), name) == "# x/one.txt\n\none"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_single_compressed_file_is_named_without_its_suffix(pack):
    assert read(pack(b"words"), "notes.txt.z") == "# notes.txt\n\nwords"


def test_what_cannot_be_read_is_named_with_the_reason():
    text = read(packed({"a.txt": "words", "b.png": b"\x89PNG\r\n\x1a\n", "c.pdf": b"%PDF-1.7 nothing", "d.txt": " "}))
    assert text.startswith("# a.txt\n\nwords\n\n# Not read\n\n")
    assert "- b.png: no parser reads image/png" in text
    assert "- c.pdf: " in text
    assert "- d.txt: it holds no text" in text


@pytest.mark.parametrize("files", [{}, {"a.png": b"\x89PNG\r\n\x1a\n"}, {"a.txt": ""}, {"folder/": ""}])
def test_an_archive_with_nothing_to_read_is_refused(files):
    with pytest.raises(ParseError):
        read(packed(files))


def test_links_and_devices_are_named_and_not_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    text = read(tarred((link, b""), (device, b""), ("../../up.txt", b"up"), ("/abs.txt", b"abs")), "a.tar")
    assert "root:" not in text
    assert text.count("it is a link or a device") == 2
    assert "# ../../up.txt\n\nup" in text
    assert "# /abs.txt\n\nabs" in text
    assert not list(tmp_path.iterdir()), "nothing is written to disk"


def test_names_become_valid_lines_of_text():
    garbage = tarred(("b\udcffad\nname.txt", b"words"))
    assert read(garbage, "a.tar").encode().decode().startswith("# b\ufffdad name.txt\n\n")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("grXsse.txt", "words")
    assert read(file.getvalue().replace(b"grXsse", b"gr\x81sse")).startswith("# grüsse.txt"), "cp437, as the format has it"
    assert read(file.getvalue().replace(b"grXsse", "gr\u00fcss".encode())).startswith("# grüss.txt"), "UTF-8, unmarked"


def test_encrypted_files_open_with_a_password_and_are_named_without(tmp_path):
    if not shutil.which("zip"):
        pytest.skip("no zip program")
    (tmp_path / "secret.txt").write_text("hidden words")
    subprocess.run(["zip", "-q", "-P", "open sesame", "box.zip", "secret.txt"], cwd=tmp_path, check=True)
    content = (tmp_path / "box.zip").read_bytes()
    assert read(content, passwords=["wrong", "open sesame"]) == "# secret.txt\n\nhidden words"
    with pytest.raises(ParseError, match="protected by a password") as caught:
        read(content, passwords=["wrong"])
    assert "ingestion.passwords" in caught.value.hint
    assert "wrong" not in str(caught.value)


def test_a_flat_bomb_meets_the_limit_on_bytes():
    bomb = packed({f"{number}.txt": b"a" * 20_000_000 for number in range(10)})
    assert len(bomb) < 300_000
    with pytest.raises(LimitExceededError, match="unpacks to more than 50,000,000 bytes") as caught:
        read(bomb, archive_bytes=50_000_000, max_chars=10**9)
    assert "ingestion.archive_bytes" in caught.value.hint


def test_entries_that_overlap_gain_nothing():
    body = packed({"0.txt": b"a" * 5_000_000})
    start, end = body.index(b"PK\1\2"), body.index(b"PK\5\6")
    entry = body[start:end]
    counts = (1000).to_bytes(2, "little") * 2 + (1000 * len(entry)).to_bytes(4, "little")
    bomb = body[:start] + entry * 1000 + b"PK\5\6\0\0\0\0" + counts + start.to_bytes(4, "little") + b"\0\0"
    try:
        text = read(bomb, archive_bytes=12_000_000)
    except LimitExceededError:
        return  # a Python that does not look for overlaps itself
    assert len(text) < 5_100_000


def test_a_compressed_bomb_in_layers_meets_the_limit_on_bytes():
    with pytest.raises(LimitExceededError, match="archive unpacks"):
        read(gzip.compress(gzip.compress(bytes(100_000_000))), "a.gz", archive_bytes=10_000_000)


def test_a_tar_whose_file_claims_to_be_huge_is_refused():
    lying = bytearray(tarred(("a.txt", b"words")))
    lying[124:136] = b"77777777777\0"
    lying[148:156] = b"        "
    lying[148:156] = b"%06o\0 " % sum(lying[:512])
    with pytest.raises(IngestionError):
        read(bytes(lying), "a.tar")


def test_too_many_files_meet_the_limit_on_members():
    with pytest.raises(LimitExceededError, match="more than 100 files") as caught:
        read(packed({str(number): "x" for number in range(101)}), archive_members=100)
    assert "ingestion.archive_members" in caught.value.hint


def test_members_are_counted_over_all_depths():
    inner = packed({str(number): "x" for number in range(60)})
    with pytest.raises(LimitExceededError, match="more than 100 files"):
        read(packed({"a.zip": inner, "b.zip": inner}), archive_members=100)


def test_archives_in_archives_meet_the_limit_on_depth():
    content = packed({"a.txt": "words"})
    for _ in range(2):
        content = packed({"in.zip": content})
    assert "# in.zip/in.zip/a.txt\n\nwords" in read(content)
    with pytest.raises(LimitExceededError, match="more than 3 deep") as caught:
        read(packed({"in.zip": content}))
    assert "ingestion.archive_depth" in caught.value.hint


@pytest.mark.data
@pytest.mark.parametrize("name", ["droste.zip", "quine.gz"])
def test_an_archive_that_holds_itself_meets_the_limit_on_depth(data_dir, name):
    with pytest.raises(LimitExceededError, match="deep"):
        read((data_dir / "parse-corpus" / "files" / "tika" / name).read_bytes(), name)


@pytest.mark.parametrize(
    "content",
    [
        packed({"a.txt": "words"})[:-30],
        packed({"a.txt": "words" * 100}).replace(b"a.txt", b"b.txt", 1),
        gzip.compress(b"words" * 100)[:-12],
        lzma.compress(b"words" * 100)[:-20],
        bz2.compress(b"words" * 100)[:-20],
        b"PK\x05\x06" + bytes(18),
        tarred(("a.txt", b"words" * 1000))[:600],
    ],
    ids=["cut zip", "other name", "cut gz", "cut xz", "cut bz2", "empty zip", "cut tar"],
)
def test_broken_archives_are_refused(content):
    with pytest.raises(ParseError):
        read(content, "a.tar" if content[257:262] == b"ustar" else "a.zip")


def test_a_broken_archive_inside_leaves_the_depth_as_it_was():
    broken = b"PK\x03\x04 nothing"
    text = read(packed({f"{number}.zip": broken for number in range(5)} | {"z.zip": packed({"a.txt": "words"})}))
    assert "# z.zip/a.txt\n\nwords" in text


def test_a_zipped_link_is_read_as_the_text_that_it_is():
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert read(file.getvalue()) == "# link\n\n/etc/passwd"


def test_members_come_in_the_order_of_the_archive():
    found = list(members(packed({"b": "1", "a": "2"}), "application/zip", "x.zip", Budget(Limits()), ()))
    assert found == [("b", b"1"), ("a", b"2")]


def test_an_archive_through_the_pool_has_headings():
    parser = ProcessParser(workers=1)
    try:
        parsed = parser.parse(packed({"a.txt": "words"}), media_type="application/zip", name="box.zip")
    finally:
        parser.close()
    assert parsed.text == "# a.txt\n\nwords"
    assert parsed.has_headings
    assert parsed.title is None


def test_the_length_of_the_whole_text_is_limited():
    with pytest.raises(LimitExceededError, match="limit is 1,000") as caught:
        read(packed({f"{number}.txt": "x" * 400 for number in range(3)}), max_chars=1000)
    assert "ingestion.max_chars" in caught.value.hint
