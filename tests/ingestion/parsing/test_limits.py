"""Files that mean harm, against a real pool: each costs at most one worker, and the next document is read."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest

from llmapp.errors import IngestionError, LimitExceededError, ParseError, ParserCrashedError
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.parsing.limits import Limits, over
from llmapp.ingestion.parsing.media_types import sniff

_OFFICE = "http://schemas.openxmlformats.org"
_RELATIONS = f'xmlns="{_OFFICE}/package/2006/relationships"'
_KIND = f"{_OFFICE}/officeDocument/2006/relationships"
_SHEETS = f'xmlns="{_OFFICE}/spreadsheetml/2006/main"'


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return file.getvalue()


def xlsx(sheet):
    return packed(
        {
            "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships {_RELATIONS}><Relationship Id="r1" Type="{_KIND}/officeDocument" Target="xl/workbook.xml"/>'
            "</Relationships>",
            "xl/workbook.xml": f'<workbook {_SHEETS} xmlns:r="{_KIND}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships {_RELATIONS}><Relationship Id="r1" Type="{_KIND}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/worksheets/sheet1.xml": f"<worksheet {_SHEETS}>{sheet}</worksheet>",
        }
    )


def docx(body, *, head=""):
    return packed(
        {
            "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types"/>',
            "word/document.xml": f'{head}<w:document xmlns:w="{_OFFICE}/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>',
        }
    )


def pdf(pages):
    """A PDF of so many pages, all with the same line of text."""
    stream = b"BT /F1 12 Tf 72 700 Td (line) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b" ".join(b"%d 0 R" % (5 + number) for number in range(pages))),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        *[b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F1 3 0 R>>>>>>"] * pages,
    ]
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj%s endobj\n" % (number, body))
    size, start = len(objects) + 1, out.tell()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out.write(
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF".encode()
    )
    return out.getvalue()


@pytest.fixture
def pool():
    """Makes parsers of one worker."""
    with contextlib.ExitStack() as stack:

        def make(*, passwords=(), **limits):
            made = ProcessParser(workers=1, limits=Limits(**limits), passwords=passwords)
            return stack.enter_context(contextlib.closing(made))

        yield make


def parse(parser, content, name):
    return parser.parse(content, media_type=sniff(content, name=name), name=name)


def reads_on(parser):
    return parse(parser, b"<html><p>next</p></html>", "next.html").text.strip() == "next"


def test_every_limit_names_its_setting_in_the_hint():
    for limit in fields(Limits):
        assert f"ingestion.{limit.name}" in over(limit.name, "x").hint


def test_too_many_bytes_are_refused_before_anything_reads_them(pool):
    parser = pool(max_bytes=10)
    with pytest.raises(LimitExceededError, match=r"^a\.txt: it has 11 bytes, the limit is 10$") as caught:
        parse(parser, b"hello world", "a.txt")
    assert "ingestion.max_bytes" in caught.value.hint
    assert parser._idle.empty()


def test_plain_text_is_limited_by_its_bytes_alone(pool):
    assert len(parse(pool(max_chars=10), b"hello world", "a.txt").text) == 11
    assert len(parse(pool(max_chars=10), "größer als zehn".encode("cp1252"), "a.txt").text) == 15


def test_a_pdf_of_too_many_pages_meets_the_limit_on_pages(pool):
    parser = pool()
    with pytest.raises(LimitExceededError, match=r"^a\.pdf: it has 25,000 pages, the limit is 20,000$") as caught:
        parse(parser, pdf(25_000), "a.pdf")
    assert "ingestion.max_pages" in caught.value.hint
    assert reads_on(parser)


def test_pages_that_lead_back_to_themselves_end(pool):
    loop = pdf(3).replace(b"/Kids[5 0 R 6 0 R 7 0 R]", b"/Kids[2 0 R 2 0 R 2 0 R]")
    parser = pool(seconds=20)
    with contextlib.suppress(IngestionError):
        parse(parser, loop, "a.pdf")
    assert reads_on(parser)


def test_a_document_that_takes_too_long_is_killed_with_its_worker(pool):
    parser = pool(seconds=1.0)
    assert reads_on(parser)
    pid = parser._idle.queue[0]._process.pid
    with pytest.raises(ParserCrashedError, match="longer than 1 s") as caught:
        parse(parser, pdf(100_000), "a.pdf")
    assert "ingestion.seconds" in caught.value.hint
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # no zombie either
    assert reads_on(parser)


def test_a_spreadsheet_that_claims_every_cell_is_read(pool):
    sheet = '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>17</v></c></row></sheetData>'
    assert "17" in parse(pool(), xlsx(sheet), "a.xlsx").text


def test_a_spreadsheet_with_cells_far_apart_costs_one_worker(pool):
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="100000"><c r="ZZ100000"><v>2</v></c></row>'
    parser = pool()
    with pytest.raises(ParserCrashedError, match="more than 2,048 MiB of memory") as caught:
        parse(parser, xlsx(f"<sheetData>{cells}</sheetData>"), "a.xlsx")
    assert "ingestion.memory_bytes" in caught.value.hint
    assert reads_on(parser)


def test_memory_that_python_asks_for_is_limited_too(pool):
    parser = pool(memory_bytes=300 << 20, max_chars=10**9)
    with pytest.raises(ParserCrashedError, match="more than 300 MiB of memory"):
        parse(parser, packed({"a.txt": b"a" * 150_000_000}), "a.zip")
    assert parse(parser, packed({"a.txt": b"next"}), "b.zip").text.endswith("next")


def test_an_office_file_that_unpacks_to_too_much_is_refused(pool):
    parser = pool()
    with pytest.raises(LimitExceededError, match=r"bytes when it is unpacked, the limit is 268,435,456"):
        parse(parser, docx("<w:p><w:r><w:t>" + "bomb " * 54_000_000 + "</w:t></w:r></w:p>"), "a.docx")
    assert reads_on(parser)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<html><body>" + b"<div>" * 200_000 + b"deep", "a.html"),
        (b"<html><body>" + b"<table><tr><td>" * 5_000 + b"deep", "a.html"),
        (b'{"cells":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "a.ipynb"),
        (b"{\\rtf1 " + b"{" * 500_000 + b"x" + b"}" * 500_000 + b"}", "a.rtf"),
        (docx("<w:tbl><w:tr><w:tc>" * 20_000 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 20_000), "a.docx"),
        (
            b"From: a@b\nContent-Type: multipart/mixed; boundary=a\n\n" + b"--a\nContent-Type: message/rfc822\n\n" * 5000,
            "a.eml",
        ),
    ],
    ids=["divs", "tables", "json", "rtf", "docx", "mail"],
)
def test_deep_nesting_ends(pool, content, name):
    parser = pool(seconds=20)
    with contextlib.suppress(IngestionError):
        parse(parser, content, name)
    assert reads_on(parser)


def test_entities_that_grow_do_not(pool):
    entities = "".join(f'<!ENTITY {chr(98 + level)} "{f"&{chr(97 + level)};" * 10}">' for level in range(9))
    head = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{entities}]>'
    parser = pool(seconds=20)
    text = ""
    with contextlib.suppress(IngestionError):
        text = parse(parser, docx("<w:p><w:r><w:t>x &j; y</w:t></w:r></w:p>", head=head), "a.docx").text
    assert len(text) < 100
    assert reads_on(parser)


def test_a_worker_ends_with_its_parent_in_the_middle_of_a_document(tmp_path):
    (tmp_path / "long.pdf").write_bytes(pdf(200_000))
    script = (
        "import sys, threading, time; from llmapp.ingestion.parsing import ProcessParser\n"
        "parser = ProcessParser(); parser.parse(b'<p>x', media_type='text/html', name='a')\n"
        "worker = parser._idle.queue[0]; print(worker._process.pid, worker._folder.name, flush=True)\n"
        "parser.parse(open(sys.argv[1], 'rb').read(), media_type='application/pdf', name='a')"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "long.pdf")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with started:
        pid, folder = started.stdout.readline().split()
        time.sleep(1)  # it reads by now
        started.kill()
    deadline = time.monotonic() + 10
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    with contextlib.suppress(ProcessLookupError):  # the folder goes first
        time.sleep(0.2)
        os.kill(int(pid), 0)
        assert Path("/proc", pid, "stat").read_text().split()[2] == "Z", "collected by nobody in a container without init"


def test_an_interrupt_of_the_parent_does_not_reach_the_workers(pool):
    parser = pool()
    assert reads_on(parser)
    pid = parser._idle.queue[0]._process.pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)


def test_passwords_stand_on_no_command_line_and_in_no_message(pool):
    parser = pool(passwords=["s3cret-word"])
    assert reads_on(parser)
    process = Path("/proc", str(parser._idle.queue[0]._process.pid))
    if not process.is_dir():
        pytest.skip("this system has no /proc")
    assert b"s3cret" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert "s3cret" not in repr(vars(parser))


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "password"),
    [
        ("docling/2206.01062_pg3.pdf", "1234"),
        ("pypdf/libreoffice-writer-password.pdf", "openpassword"),
        ("tika/testWORD_protected_passtika.docx", "tika"),
        ("tika/testEXCEL_protected_passtika.xlsx", "tika"),
    ],
)
def test_a_document_behind_a_password_opens_with_it_alone(pool, data_dir, path, password):
    content = (data_dir / "parse-corpus" / "files" / path).read_bytes()
    assert parse(pool(passwords=["wr0ng", password]), content, path).text.strip()
    for passwords in ([], ["wr0ng"]):
        with pytest.raises(ParseError, match="protected by a password") as caught:
            parse(pool(passwords=passwords), content, path)
        assert "ingestion.passwords" in caught.value.hint
        assert "wr0ng" not in str(caught.value) + caught.value.hint


def test_without_the_package_that_decrypts_the_hint_names_it(monkeypatch):
    from llmapp.ingestion.parsing.office_passwords import decrypt

    monkeypatch.setitem(sys.modules, "msoffcrypto", None)
    with pytest.raises(ParseError, match="msoffcrypto is not installed") as caught:
        decrypt(b"x", ["a"])
    assert "office-passwords" in caught.value.hint


def test_a_worker_that_dies_costs_one_document(pool):
    parser = pool()
    assert reads_on(parser)
    worker = parser._idle.queue[0]
    os.kill(worker._process.pid, signal.SIGSTOP)
    worker._process.send_signal(signal.SIGSEGV)
    worker._process.send_signal(signal.SIGCONT)
    with contextlib.suppress(ParserCrashedError):  # or it was seen to be dead before the document went out
        reads_on(parser)
    assert reads_on(parser)
    assert not Path(worker._folder.name).exists()
