import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from llmapp.errors import IngestionError, LimitExceededError, ParseError, ParserCrashedError, UnsupportedMediaTypeError
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.parsing.limits import Limits
from llmapp.ingestion.parsing.rendering import _FRONT_MATTER

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = b"<html><head><title>Tea &amp; cake</title><meta name='author' content='x'></head><body><h1>Menu</h1><p>Scones.</p></body></html>"


@pytest.fixture
def own_parser():
    """Makes parsers that a test may harm."""
    with contextlib.ExitStack() as stack:

        def make(**limits):
            return stack.enter_context(contextlib.closing(ProcessParser(workers=1, limits=Limits(**limits))))

        yield make


def docx(body):
    file = io.BytesIO()
    names = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("[Content_Types].xml", f'<Types xmlns="{types}"/>')
        opened.writestr("word/document.xml", f'<w:document xmlns:w="{names}"><w:body>{body}</w:body></w:document>')
    return file.getvalue()


def pdf(*pages):
    """A small PDF, each page one line of text."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode()]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for number, line in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({line}) Tj ET".encode()
        page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * number} 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        objects += [page.encode(), b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream)]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    return (
        out
        + f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF".encode()
    )


def worker_pid(parser):
    """Process id of the idle worker."""
    worker = parser._idle.get_nowait()
    parser._idle.put(worker)
    return worker._process.pid


def test_markdown_comes_back_verbatim_with_its_first_heading_as_title(parser):
    text = "\n# A *title*\n\n* odd   spacing\n\n<b>kept</b>\n"
    parsed = parser.parse(text.encode(), media_type="text/markdown", name="a.md")
    assert parsed.text == text
    assert parsed.title == "A title"
    assert parsed.parser == parser.version


def test_plain_text_has_no_title_of_its_own(parser):
    assert parser.parse(b"# not a title\r\n", media_type="text/plain", name="a.txt").title is None


def test_html_becomes_markdown_without_metadata(parser):
    parsed = parser.parse(HTML, media_type="text/html", name="a.html")
    assert parsed.title == "Tea & cake"
    assert parsed.text.strip() == "# Menu\n\nScones."


def test_pages_of_a_pdf_are_addressable(parser):
    parsed = parser.parse(pdf("First page", "", "Third page"), media_type="application/pdf", name="a.pdf")
    assert len(parsed.page_starts) == 3
    first, _, third = parsed.page_starts
    assert parsed.text[first:].startswith("First page")
    assert parsed.text[third:] == "Third page"
    assert parsed.title is None


def test_rows_of_a_table_name_their_columns(parser):
    parsed = parser.parse("police;größe\nhome;3\n".encode("cp1252"), media_type="text/csv", name="a.csv")
    assert parsed.text == "Row 1:\n  police: home\n  größe: 3"


def test_a_word_document_is_read(parser):
    parsed = parser.parse(docx("<w:p><w:r><w:t>Deductible is 500.</w:t></w:r></w:p>"), media_type=DOCX, name="a.docx")
    assert parsed.text.strip() == "Deductible is 500."


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"%PDF-1.7 and nothing", "application/pdf"),
        (b"PK\x03\x04 cut short", DOCX),
        (docx("<w:p>")[:-30], DOCX),
        (docx(""), DOCX),
        (pdf(""), "application/pdf"),
        (b" \n", "text/plain"),
        (b"<html></html>", "text/html"),
        (b"\0\0\0\0", "text/plain"),
    ],
)
def test_broken_and_empty_documents_are_refused_by_name(parser, content, media_type):
    with pytest.raises(ParseError, match=r"^odd name\.x: \S"):
        parser.parse(content, media_type=media_type, name="odd name.x")


def test_a_document_behind_a_password_is_told_apart(parser):
    with pytest.raises(ParseError, match="password"):
        parser.parse(b"x", media_type="application/x-encrypted-office", name="a.docx")


def test_what_no_parser_reads_starts_no_process(own_parser):
    parser = own_parser()
    with pytest.raises(UnsupportedMediaTypeError, match="image/png"):
        parser.parse(b"x", media_type="image/png", name="a.png")
    assert parser._idle.empty()


def test_too_much_text_is_refused(own_parser):
    with pytest.raises(LimitExceededError, match="12 characters of text, the limit is 10") as caught:
        own_parser(max_chars=10).parse(b"<p>hello world", media_type="text/html", name="a.html")
    assert "ingestion.max_chars" in caught.value.hint


def test_a_killed_worker_costs_one_document(own_parser):
    parser = own_parser()
    parser.parse(b"<p>warm", media_type="text/html", name="a.html")
    pid = worker_pid(parser)
    os.kill(pid, signal.SIGSTOP)  # it hangs on the next document
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ParserCrashedError, match="signal 9"):
        parser.parse(b"<p>lost", media_type="text/html", name="a.html")
    killer.join()
    assert parser.parse(b"<p>next", media_type="text/html", name="a.html").text.strip() == "next"
    assert worker_pid(parser) != pid


def test_a_worker_that_died_while_idle_costs_nothing(own_parser):
    parser = own_parser()
    parser.parse(b"<p>warm", media_type="text/html", name="a.html")
    worker = parser._idle.get_nowait()
    parser._idle.put(worker)
    worker._process.kill()
    worker._process.wait()
    assert parser.parse(b"<p>next", media_type="text/html", name="a.html").text.strip() == "next"


def test_a_hanging_document_is_given_up(own_parser):
    parser = own_parser(seconds=5.0)
    parser.parse(b"<p>warm", media_type="text/html", name="a.html")
    os.kill(worker_pid(parser), signal.SIGSTOP)
    with pytest.raises(ParserCrashedError, match="longer than 5 s"):
        parser.parse(b"x" * 5_000_000, media_type="text/csv", name="a.csv")
    assert parser.parse(b"<p>next", media_type="text/html", name="a.html").text.strip() == "next"


def test_a_document_that_takes_too_much_memory_fails_alone(own_parser):
    parser = own_parser(memory_bytes=600 << 20)
    bomb = docx("<w:p><w:r><w:t>" + "bomb " * 50_000_000 + "</w:t></w:r></w:p>")
    assert len(bomb) < 2_000_000
    with pytest.raises(IngestionError):
        parser.parse(bomb, media_type=DOCX, name="bomb.docx")
    assert parser.parse(b"<p>next", media_type="text/html", name="a.html").text.strip() == "next"


def test_several_threads_share_the_pool(parser):
    results = {}

    def work(number):
        results[number] = parser.parse(f"<p>text {number}".encode(), media_type="text/html", name="a.html").text.strip()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"text {number}" for number in range(20)}
    assert parser._idle.qsize() <= 2


def test_a_worker_sees_neither_keys_nor_the_terminal(own_parser, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "s3cret")
    parser = own_parser()
    parser.parse(b"<p>warm", media_type="text/html", name="a.html")
    process = Path("/proc", str(worker_pid(parser)))
    if not process.is_dir():
        pytest.skip("this system has no /proc")
    assert b"s3cret" not in (process / "environ").read_bytes()
    assert (process / "fd" / "1").readlink() == (process / "fd" / "0").readlink() == Path(os.devnull)


def test_workers_end_with_their_parent():
    script = (
        "import os, signal; from llmapp.ingestion.parsing import ProcessParser\n"
        "parser = ProcessParser(); parser.parse(b'<p>x', media_type='text/html', name='a')\n"
        "worker = parser._idle.get_nowait(); print(worker._process.pid, worker._folder.name, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    pid, folder = ended.stdout.split()
    deadline = time.monotonic() + 10
    while _is_running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(int(pid))
    assert not Path(folder).exists(), "its folder goes with it"


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return "Z" not in status  # it has ended when only its parent's parent has not collected it yet


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# a" + " " * 100_000 + "x", "a"),
        ("# " + " " * 100_000 + "\n# Fees ##", "Fees"),
        ("# a" + "](" * 100_000, "a"),
        ("# [Fees](https://host/fees) #\n\ntext", "Fees"),
    ],
    ids=["spaces", "blank", "links", "plain"],
)
def test_the_title_of_a_hostile_text_takes_no_time(own_parser, text, title):
    parsed = own_parser(seconds=5).parse(text.encode(), media_type="text/markdown", name="a.md")
    assert parsed.title.startswith(title)


@pytest.mark.usefixtures("short_of_time")
def test_front_matter_with_many_colons_takes_no_time():
    assert not _FRONT_MATTER.match("---\n" + "a:b:c:d\n" * 1000 + "x")
    assert _FRONT_MATTER.sub("", "---\na: b\nc:d: e\n\n## url: x\n\ntext") == "text"
