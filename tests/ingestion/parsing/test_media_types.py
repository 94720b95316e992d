import io
import zipfile

import pytest

from llmapp.errors import UnsupportedMediaTypeError
from llmapp.ingestion.parsing.media_types import ENCRYPTED_OFFICE, WAYS, sniff

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name in names:
            opened.writestr(name, "x")
    return file.getvalue()


def opendocument(kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        opened.writestr("content.xml", "x")
    return file.getvalue()


def containing(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (archive("a.txt"), "a.zip", "application/zip"),
        (archive("a.txt"), "a.txt", "application/zip"),
        (containing("in.docx", archive("word/document.xml")), "a.zip", "application/zip"),
        (containing("in.pdf", b"%PDF-1.7"), "a.zip", "application/zip"),
        (b"a.pdf" + bytes(252) + b"ustar\x0000" + bytes(248) + b"%PDF-1.7", "a.tar", "application/x-tar"),
        (b"\x1f\x8b\x08", "a.gz", "application/gzip"),
        (b"BZh9", "a.bz2", "application/x-bzip2"),
        (b"\xfd7zXZ\0", "a.xz", "application/x-xz"),
        (opendocument("presentation"), "a", "application/vnd.oasis.opendocument.presentation"),
        (opendocument("text"), "a.docx", "application/vnd.oasis.opendocument.text"),
        (b"\xef\xbb\xbfWEBVTT\n", "a", "text/vtt"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nx", "a.srt", "application/x-subrip"),
        (b"%PDF-1.7\n", "a.pdf", "application/pdf"),
        (b"\n\njunk %PDF-1.7\n", "a", "application/pdf"),
        (archive("[Content_Types].xml", "word/document.xml"), "a.docx", DOCX),
        (archive("word/document.xml", "word/embeddings/xl/workbook.xml"), "a", DOCX),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "report.docx", XLSX),
        (b"PK\x03\x04 cut short", "a.docx", DOCX),
        (OLE + "WordDocument".encode("utf-16-le"), "a.doc", "application/msword"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "a.docx", ENCRYPTED_OFFICE),
        (b"{\\rtf1 x}", "a.doc", "application/rtf"),
        (b"<!DOCTYPE html><html></html>", "report.pdf", "text/html"),
        (b'<?xml version="1.0"?>\n<!-- c -->\n<html xmlns="x">', "a.xhtml", "text/html"),
        (b"<html-like text", "a.txt", "text/plain"),
        (b"# Title", "a.md", "text/markdown"),
        (b"a,b\n1,2", "A.CSV", "text/csv"),
        (b"just words", "report.pdf", "text/plain"),
        (b"print(1)", "a.py", "text/plain"),
        (b"words", "LICENSE", "text/plain"),
        (b"\xff\xfeh\0i\0", "a.csv", "text/csv"),
        (b"h\0i\0", "a.txt", "text/plain"),
        (b"", "a.txt", "text/plain"),
        (b"From: a@b\n\nhi", "a.eml", "message/rfc822"),
    ],
)
def test_content_comes_first_and_the_name_second(content, name, expected):
    assert sniff(content, name=name) == expected


def test_what_the_source_declares_comes_before_the_name():
    assert sniff(b"a,b", name="export?id=3", declared="text/csv; charset=utf-8") == "text/csv"
    assert sniff(b"a,b", name="export.txt", declared="application/octet-stream") == "text/plain"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "a.png"),
        (b"\x89PNG\r\n\x1a\n", "a.txt"),
        (archive("[Content_Types].xml", "visio/document.xml"), "a.vsdx"),
        (opendocument("graphics"), "a.odg"),
        (b"\0\1\2\3", "a.bin"),
        (OLE, "a"),
    ],
)
def test_unknown_binary_is_refused_with_a_hint(content, name):
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        sniff(content, name=name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!-- a -->\n" * 300 + b"# Title", "text/plain"),
        (b"<!-- a -->\n" * 300 + b"<html>", "text/html"),
        (b"<!-- a -- b > -->\n <p>", "text/plain"),
    ],
    ids=["text", "html", "fragment"],
)
@pytest.mark.usefixtures("short_of_time")
def test_many_comments_before_the_content_take_no_time(content, expected):
    assert sniff(content, name="a.txt") == expected


def test_every_way_is_one_that_the_worker_knows():
    assert set(WAYS.values()) == {"text", "html", "rows", "pages", "markdown", "slides", "subtitles", "archive"}
