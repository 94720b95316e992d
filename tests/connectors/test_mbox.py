import mailbox
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.connector import Checkpoint, ConnectorError, Failure, SourceNotFoundError, Upsert
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.mail.mbox import Mbox
from llmapp_connectors.mail.messages import changes

# ---- an mbox


def mail(subject="Water damage", text="The roof leaks.", message_id="<1@x.example>", **headers):
    made = EmailMessage()
    made["From"], made["Subject"] = "Ann <ann@x.example>", subject
    if message_id:
        made["Message-ID"] = message_id
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def write(path, *mails):
    box = mailbox.mbox(path)
    for each in mails:
        box.add(each)
    box.close()
    return path


def read(path, **fields):
    *found, last = Mbox(path=path, **fields).read(None)
    assert last == Checkpoint(None)
    return found


def documents(path):
    return {change.document.id: change.document for change in read(path) if isinstance(change, Upsert)}


class TestMboxKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path):
        return Mbox(path=write(tmp_path / "box", mail(), mail("two", message_id="<2@x.example>")), max_bytes=5_000)


class TestMaildirKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path):
        box = mailbox.Maildir(tmp_path / "box")
        box.add(mail())
        box.add(mail("big", "x" * 6_000))
        return Mbox(path=tmp_path / "box", max_bytes=5_000)


def test_mails_of_an_mbox_are_named_by_their_message_id(tmp_path):
    path = write(tmp_path / "box", mail(), mail("two", message_id="<a/b#c ü@x>"), mail("three", message_id="<2@x>"))
    assert next(iter(documents(path))) == "1@x.example"
    assert list(documents(path))[2] == "2@x"
    assert all("/" not in name for name in documents(path))
    assert documents(path)["1@x.example"].uri == f"{path}#1@x.example"


def test_a_mail_that_is_there_twice_is_read_once_and_marks_do_not_change_it(tmp_path):
    first = documents(write(tmp_path / "a", mail(), mail()))
    marked = documents(write(tmp_path / "b", mail(Status="RO", X_Status="A", X_Mozilla_Status="0001")))
    assert list(first) == list(marked) == ["1@x.example"]
    assert first["1@x.example"].revision == marked["1@x.example"].revision


def test_two_mails_of_one_id_are_both_read_and_keep_their_names(tmp_path):
    one, two, three = mail("one"), mail("two"), mail("three")
    names = list(documents(write(tmp_path / "a", one, two, three)))
    assert len(set(names)) == 3
    assert list(documents(write(tmp_path / "b", one, three))) == [names[0], names[2]]


def test_a_mail_without_an_id_is_named_by_its_content(tmp_path):
    first = list(documents(write(tmp_path / "a", mail(message_id=None), mail(), mail("x", message_id=f"<{'i' * 999}>"))))
    assert len(first) == 3
    assert list(documents(write(tmp_path / "b", mail(), mail(message_id=None))))[1] == first[0]


def test_lines_that_begin_with_from_do_not_cut_a_mail(tmp_path):
    text = "Dear Bob,\n\nFrom here on it is dry.\nFrom ann Mon Jan 1 00:00:00 2024\n>From quoted\n"
    raw = b"From ann Mon Jan  1 00:00:00 2024\nSubject: x\n\n" + text.encode() + b"\n"
    (tmp_path / "box").write_bytes(raw + raw.replace(b"x", b"y"))
    first, second = documents(tmp_path / "box").values()
    assert first.text == "Subject: x\n\n" + text.strip().replace(">From quoted", "From quoted")
    assert second.title == "y"


def test_the_last_mail_is_the_same_without_an_empty_line_behind_it(tmp_path):
    for name, end in (("a", b""), ("b", b"\n"), ("c", b"\n\n")):
        (tmp_path / name).write_bytes(b"From ann Mon Jan  1 00:00:00 2024\nSubject: x\n\nwords" + end)
    assert len({next(iter(documents(tmp_path / name))) for name in "abc"}) == 1


def test_a_mail_over_the_limit_is_a_failure_and_the_next_is_read(tmp_path):
    path = write(tmp_path / "box", mail(text="x\n" * 5_000), mail("two", message_id="<2@x.example>"))
    failure, upsert = read(path, max_bytes=2_000)
    assert failure == Failure("1@x.example", "more than 2,000 bytes", uri=f"{path}#1@x.example")
    assert upsert.document.title == "two"


def test_a_file_that_is_no_mbox_or_not_there_stops_the_run(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(ConnectorError, match="no mbox"):
        read(tmp_path / "notes.txt")
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        read(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConnectorError):
        read(tmp_path / "folder")
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == []


# ---- a Maildir


@pytest.fixture
def box(tmp_path):
    return mailbox.Maildir(tmp_path / "box")


def test_a_maildir_is_read_with_its_subfolders_and_flags_do_not_matter(box, tmp_path):
    key = box.add(mail())
    box.add_folder("Archive").add(mail("old"))
    before = documents(tmp_path / "box")
    assert [document.title for document in before.values()] == ["Water damage", "old"]
    assert next(iter(before)) == key
    assert list(before)[1].startswith(".Archive/")
    message = box[key]
    message.set_subdir("cur")
    message.set_flags("SR")
    box[key] = message
    after = documents(tmp_path / "box")
    assert list(after) == list(before)
    assert after[key].revision == before[key].revision


def test_a_file_that_a_mail_program_renames_meanwhile_is_found_again(box, tmp_path):
    keys = sorted(box.add(mail(name)) for name in ("a", "b", "c"))
    found = Mbox(path=tmp_path / "box").read(None)
    assert next(found).document.id == keys[0]
    (tmp_path / "box" / "new" / keys[1]).rename(tmp_path / "box" / "cur" / f"{keys[1]}:2,S")
    (tmp_path / "box" / "new" / keys[2]).unlink()
    assert [change.document.id for change in found if isinstance(change, Upsert)] == [keys[1]]


def test_links_in_a_maildir_are_not_followed(box, tmp_path):
    box.add(mail())
    (tmp_path / "secret").write_text("Subject: secret\n\nsecret")
    (tmp_path / "box" / "new" / "link").symlink_to(tmp_path / "secret")
    mailbox.Maildir(tmp_path / "other").add(mail("other"))
    (tmp_path / "box" / ".Link").symlink_to(tmp_path / "other")
    assert [document.title for document in documents(tmp_path / "box").values()] == ["Water damage"]


# ---- what a mail is made of


def made(raw):
    found = changes(raw if isinstance(raw, bytes) else raw.as_bytes(), "m", "mail:m")
    assert all(isinstance(change, Upsert) for change in found), found
    return [change.document for change in found]


def test_headers_stand_above_the_text_and_in_the_metadata():
    message = mail(
        "Größe", "Guten Tag", To="Bob <Bob@X.example>, c@x.example", Date="Mon, 01 Jan 2024 10:00:00 +0200",
        In_Reply_To="<0@x.example>", References="<00@x.example> <0@x.example>",
    )  # fmt: skip
    (document,) = made(message)
    assert document.text == (
        "From: Ann <ann@x.example>\nTo: Bob <Bob@X.example>, c@x.example\nDate: Mon, 01 Jan 2024 10:00:00 +0200\n"
        "Subject: Größe\n\nGuten Tag"
    )
    assert document.metadata == {
        "from": "ann@x.example",
        "to": ["bob@x.example", "c@x.example"],
        "date": "2024-01-01T08:00:00+00:00",
        "message_id": "1@x.example",
        "in_reply_to": "0@x.example",
        "thread": "00@x.example",
    }


def test_plain_text_is_preferred_and_html_is_left_to_the_parser():
    message = mail(text="plain words")
    message.add_alternative("<p>html words</p>", subtype="html")
    (document,) = made(message)
    assert "plain words" in document.text
    message = mail("a <b>", "")
    message.set_content("<p>Straße</p>", subtype="html")
    (document,) = made(message)
    assert document.text is None
    assert document.media_type == "text/html"
    assert "Subject: a &lt;b&gt;" in document.content().decode()
    assert "<p>Straße</p>" in document.content().decode()


def test_attachments_are_documents_and_images_of_the_text_are_none():
    message = mail()
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="Schätzung.pdf")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png", disposition="inline")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="roof.png")
    message.add_attachment(b"", maintype="text", subtype="plain", filename="empty.txt")
    message.add_attachment(b"sig", maintype="application", subtype="pgp-signature", filename="signature.asc")
    message.add_attachment(b"a,b", maintype="application", subtype="octet-stream", filename="..\\..\\a/b.csv")
    found = made(message)
    assert [(d.id, d.title, d.media_type) for d in found[1:]] == [
        ("m/1", "Schätzung.pdf", "application/pdf"),
        ("m/2", "roof.png", "image/png"),
        ("m/3", "b.csv", None),
    ]
    assert found[1].uri == "mail:m#Sch%C3%A4tzung.pdf"
    assert found[1].content() == b"%PDF-1.4"
    assert found[1].metadata["parent"] == "m"
    assert found[1].metadata["from"] == "ann@x.example"


def test_attached_mails_are_mails_with_attachments_of_their_own():
    inner = mail("inner", message_id="<in@x>")
    inner.add_attachment(b"a,b", maintype="text", subtype="csv", filename="a.csv")
    outer = mail("outer")
    outer.add_attachment(inner)
    outer.add_attachment(b"c,d", maintype="text", subtype="csv", filename="c.csv")
    found = made(outer)
    assert [(d.id, d.title, d.metadata.get("parent")) for d in found] == [
        ("m", "outer", None), ("m/1", "inner", "m"), ("m/2", "a.csv", "m/1"), ("m/3", "c.csv", "m"),
    ]  # fmt: skip
    assert "inner" not in found[0].text


def test_nesting_and_numbers_are_bounded():
    message = mail("0")
    for depth in range(1, 12):
        outer = mail(str(depth))
        outer.add_attachment(message)
        message = outer
    assert len(made(message)) == 6
    many = mail()
    for number in range(300):
        many.add_attachment(b"x", maintype="text", subtype="csv", filename=f"{number}.csv")
    assert len(made(many)) == 201


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\n\nx", "Größe"),
        (b"Subject: Gr\xc3\xb6\xc3\x9fe\n\nx", "Größe"),
        (b"Subject: =?utf-8?b?R3LDtsOf?= =?utf-8?b?ZQ==?=\n\nx", "Größe"),
        (b"Subject: =?nonsense?q?abc?=\n\nx", "abc"),
        (b"Subject: =?utf-8?b?!!!?=\n\nx", "=?utf-8?b?!!!?="),
        (b"Subject: =?punycode?q?abc?=\n\nx", "abc"),
        (b"Subject: a\n\tb\x00\x1b[31mc\n\nx", "a b [31mc"),
        (b"Subject:\n\nx", "(no subject)"),
        (b"no headers at all", "(no subject)"),
        (b"", "(no subject)"),
    ],
)
def test_a_subject_is_shown_whatever_it_is(raw, shown):
    assert made(raw)[0].title == shown


@pytest.mark.parametrize(
    ("head", "content", "text"),
    [
        (b"text/plain; charset=iso-8859-1", b"Gr\xf6\xdfe", "Größe"),
        (b"text/plain; charset=nonsense", b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"text/plain", b"Gr\xf6\xdfe", "Größe"),
        (b"text/plain; charset=us-ascii", b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"text/plain; charset=utf-7", b"a+2AA-b", "a?b"),
        (b"text/plain; charset*=utf-8'x'utf-8", b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"text/plain; charset=punycode", b"abc", "abc"),
        (b"multipart/mixed", b"no boundary", "no boundary"),
        (b"multipart/mixed; boundary=x", b"--y\nnever begun", "--y\nnever begun"),
        (b"multipart/mixed; boundary=x", b"--x\n\nnever ended", "never ended"),
    ],
)
def test_a_text_is_shown_whatever_its_charset(head, content, text):
    assert made(b"Subject: x\nContent-Type: " + head + b"\n\n" + content)[0].text == f"Subject: x\n\n{text}"


def test_parts_within_parts_without_end_are_no_harm():
    raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000))
    found = changes(b"Subject: x\n" + raw, "m", "mail:m")
    assert len(found) == 1
    assert isinstance(found[0], Failure | Upsert)


FRAGMENTS = st.sampled_from([
    b"Subject: ", b"From: ", b"To: ", b"Date: ", b"Message-ID: <", b"References: ", b"Content-Type: ", b"text/plain", b"text/html",
    b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=b", b"message/rfc822", b"application/pdf", b"\n", b"\n\n",
    b"--b\n", b"--b--\n", b"; charset=", b"utf-8", b"x\0y", b"idna", b"; charset*0*=", b"''%", b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n", b"Content-Disposition: attachment; filename", b"*1*=", b"=?utf-8?b?", b"?=", b"=",
    b"\xff\xfe", b'"', b"(", b"<", b"@", b",", b";", b"Mon, 99 Jan 99999 99:99:99 +9999", b"1 Jan 0001 00:00:00 +2359", b"words",
])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAGMENTS | st.binary(max_size=6), max_size=40).map(b"".join))
def test_no_mail_raises_and_every_document_can_be_stored(raw):
    found = changes(raw, "m", "mail:m")
    assert found[0].id == "m" if isinstance(found[0], Failure) else found[0].document.id == "m"
    for change in found:
        if isinstance(change, Upsert):
            document = change.document
            for text in (document.id, document.uri, document.title, document.text or "", str(document.metadata)):
                text.encode()
            assert (document.text is None) != (document.content is None)
            assert document.text or document.content()


# ---- through the host


@pytest.fixture
def ingestor(catalog, embedder):
    parser = ProcessParser()
    yield Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)
    parser.close()


def test_the_host_follows_an_mbox(tmp_path, ingestor, catalog):
    attached = mail("two", message_id="<2@x.example>")
    attached.add_attachment(b"item,cost\nroof,900", maintype="text", subtype="csv", filename="costs.csv")
    path = write(tmp_path / "box", mail(), attached)
    report = ingestor.run("mail", Mbox(path=path), default_acl=("public",))
    assert (report.added, report.quarantined) == (3, 0)
    path.unlink()
    write(path, mail(), mail("three", message_id="<3@x.example>"))
    report = ingestor.run("mail", Mbox(path=path), default_acl=("public",))
    assert (report.added, report.unchanged, report.deleted) == (1, 1, 2)
    assert catalog.document_ids("mail") == {"1@x.example", "3@x.example"}
