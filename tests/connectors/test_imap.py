import base64
import contextlib
import grp
import imaplib
import os
import pwd
import random
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from pydantic import SecretStr, ValidationError

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Failure,
    SourceNotFoundError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.contracts import ConnectorContract
from llmapp.types import Principal
from llmapp_connectors.mail import connection, imap, session, uid_ranges
from llmapp_connectors.mail.imap import Imap

USER, PASSWORD = "ann", 'p"w\\ 7'

# ---- real servers: pymap from PyPI always, Dovecot where it is installed


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(folder / "key.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


@pytest.fixture(scope="module", params=["pymap", "dovecot"])
def mailserver(request, certificates, tmp_path_factory):
    start = {"pymap": pymap, "dovecot": dovecot}[request.param]
    with start(certificates, tmp_path_factory.mktemp(request.param)) as server:
        wait_for(server)
        yield server


@contextlib.contextmanager
def pymap(certificates, folder):
    port = free_port()
    command = [
        Path(sys.executable).with_name("pymap"), "--host", "127.0.0.1", "--port", str(port),
        "--cert", certificates / "cert.pem", "--key", certificates / "key.pem",
        "dict", "--demo-user", USER, "--demo-password", PASSWORD,
    ]  # fmt: skip
    with running(command) as process:
        yield SimpleNamespace(port=port, encryption="starttls", process=process)


@contextlib.contextmanager
def dovecot(certificates, folder):
    if not shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip("Dovecot is not installed")
    who = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    base = folder / "d"
    (base / "mail").mkdir(parents=True)
    for part in (base, *base.parents):  # up to the folder of all temporary files, for the server's own user
        if part == Path(tempfile.gettempdir()):
            break
        with contextlib.suppress(OSError):
            part.chmod(0o755)
    shutil.chown(base / "mail", who.pw_uid, who.pw_gid)
    port = free_port()
    (base / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (base / "dovecot.conf").write_text(f"""
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificates}/cert.pem
ssl_key = <{certificates}/key.pem
default_internal_user = {who.pw_name}
default_login_user = {who.pw_name}
default_internal_group = {grp.getgrgid(who.pw_gid).gr_name}
first_valid_uid = 1
mail_location = maildir:{base}/mail/%u
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = {base}/users
}}
userdb {{
  driver = static
  args = uid={who.pw_uid} gid={who.pw_gid} home={base}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
  chroot =
}}
""")
    with running(["/usr/sbin/dovecot", "-F", "-c", base / "dovecot.conf"]) as process:
        yield SimpleNamespace(port=port, encryption="tls", process=process)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def running(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(server):
    for _ in range(400):
        assert server.process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port)):
            return
        time.sleep(0.025)
    pytest.fail("the server does not start")


class Account:
    """The account as a mail program sees it, with a folder of its own for each test."""

    def __init__(self, server, certificates):
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        if server.encryption == "tls":
            self.client = imaplib.IMAP4_SSL("localhost", server.port, ssl_context=context)
        else:
            self.client = imaplib.IMAP4("localhost", server.port)
            self.client.starttls(context)
        self.client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        self.server = server
        self.folder = f"Claims-{time.monotonic_ns()}"
        self.create()

    def do(self, command, *arguments):
        status, answer = getattr(self.client, command)(*arguments)
        assert status == "OK", answer
        return answer

    def create(self):
        self.do("create", self.folder)

    def delete_folder(self):
        self.client.unselect() if self.client.state == "SELECTED" else None
        self.do("delete", self.folder)

    def add(self, *mails, folder=None):
        for mail in mails:
            raw = mail if isinstance(mail, bytes) else bytes(mail)
            self.do("append", folder or self.folder, None, None, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    def uids(self):
        self.do("select", self.folder)
        return self.do("uid", "SEARCH", "ALL")[0].split()

    def remove(self, *uids):
        self.do("select", self.folder)
        for uid in uids:
            self.do("uid", "STORE", uid.decode(), "+FLAGS", r"(\Deleted)")
        self.do("expunge")

    def flags(self):
        self.do("select", self.folder)
        return [flags for line in self.do("fetch", "1:*", "(FLAGS)") if line for flags in imaplib.ParseFlags(line)]

    def connector(self, **settings):
        given = {
            "host": "localhost", "port": self.server.port, "encryption": self.server.encryption, "user": USER,
            "password": PASSWORD, "folders": (self.folder,),
        }  # fmt: skip
        return Imap(**given | settings)


@pytest.fixture
def account(mailserver, certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    made = Account(mailserver, certificates)
    yield made
    made.client.logout()


def mail(subject="Water damage", text="The roof leaks.", *attached, **headers):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann <ann@x.example>", "bob@x.example", subject
    made["Message-ID"] = f"<{random.random()}@x.example>"
    for name, value in headers.items():
        made[name] = value
    made.set_content(text)
    for name in attached:
        made.add_attachment(f"content of {name}".encode(), maintype="text", subtype="csv", filename=name)
    return made


def read(connector, cursor=None):
    changes = list(connector.read(cursor))
    assert isinstance(changes[-1], Checkpoint)
    return [change for change in changes if not isinstance(change, Checkpoint)], changes[-1].cursor


def apply(held, changes):
    held = dict(held)
    for change in changes:
        if isinstance(change, Upsert):
            held[change.document.id] = change.document.text or change.document.content()
        elif isinstance(change, Delete):
            held.pop(change.id, None)
    return held


class TestImapKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, account):
        account.add(mail(), mail("Second", "Words", "a.csv", "b.csv"), b"broken \xff")
        return account.connector()


# ---- what is read


def test_a_mail_and_what_is_attached_are_documents(account):
    account.add(mail("Größe", "The roof leaks.", "costs.csv"))
    changes, _ = read(account.connector())
    first, attached = (change.document for change in changes)
    assert first.id.startswith(f"{account.folder}/")
    assert first.title == "Größe"
    assert first.text == "From: Ann <ann@x.example>\nTo: bob@x.example\nSubject: Größe\n\nThe roof leaks."
    assert first.uri.startswith(f"imap://localhost/{account.folder};UIDVALIDITY=")
    assert attached.id == f"{first.id}/1"
    assert attached.uri.endswith("#costs.csv")
    assert (attached.title, attached.media_type, attached.content()) == ("costs.csv", "text/csv", b"content of costs.csv")
    assert attached.metadata["parent"] == first.id


def test_nothing_is_marked_as_seen(account):
    account.add(mail(), mail())
    read(account.connector())
    assert rb"\Seen" not in account.flags()


def test_a_folder_may_have_any_name(account):
    for name in ("Grüße & Küsse", 'quo"ted', "名前"):
        account.folder = name
        account.folder = connection.quoted(name)
        with contextlib.suppress(AssertionError):
            account.delete_folder()
        account.create()
        account.add(mail(text=f"in {name}"))
        changes, _ = read(account.connector(folders=(name,)))
        assert changes[0].document.id.startswith(f"{name}/")
        assert f"in {name}" in changes[0].document.text


def test_only_mails_since_a_day_are_read(account):
    raw = bytes(mail("old"))
    account.do("append", account.folder, None, datetime(2020, 2, 1, 12, tzinfo=UTC), raw)
    account.do("append", account.folder, None, datetime(2024, 2, 1, 12, tzinfo=UTC), bytes(mail("new")))
    assert titles(account.connector(since=date(2024, 1, 1))) == ["new"]
    assert titles(account.connector()) == ["old", "new"]


def titles(connector):
    return [change.document.title for change in read(connector)[0]]


def test_an_empty_folder_is_only_a_checkpoint(account):
    assert read(account.connector())[0] == []


def test_several_folders_are_read_in_their_order(account):
    first = account.folder
    account.add(mail("one"))
    account.folder += "-b"
    account.create()
    account.add(mail("two"))
    connector = account.connector(folders=(first, account.folder))
    assert titles(connector) == ["one", "two"]


# ---- what has changed


def test_only_new_mails_are_fetched_and_vanished_ones_are_deleted_with_what_was_attached(account):
    account.add(mail("one"), mail("two", "words", "a.csv", "b.csv"), mail("three"))
    connector = account.connector()
    changes, cursor = read(connector)
    ids = [change.document.id for change in changes]
    assert read(connector, cursor) == ([], cursor)
    account.remove(account.uids()[1])
    account.add(mail("four"))
    changes, cursor = read(connector, cursor)
    assert changes[:3] == [Delete(ids[1]), Delete(ids[2]), Delete(ids[3])]
    assert [change.document.title for change in changes[3:]] == ["four"]
    assert read(connector, cursor) == ([], cursor)


def test_a_folder_that_was_made_anew_is_read_anew(account):
    account.add(mail("old", "words", "a.csv"))
    connector = account.connector()
    changes, cursor = read(connector)
    before = [change.document.id for change in changes]
    time.sleep(1.1)  # UIDVALIDITY is a time in seconds on many servers
    account.delete_folder()
    account.create()
    account.add(mail("new"))
    changes, cursor = read(connector, cursor)
    assert changes[:2] == [Delete(before[0]), Delete(before[1])]
    assert [change.document.title for change in changes[2:]] == ["new"]
    assert changes[2].document.id not in before


@pytest.mark.parametrize("seed", range(2))
def test_reading_in_steps_ends_where_reading_at_once_does(account, seed, monkeypatch):
    """Mails come and go by chance, and runs stop at any checkpoint."""
    monkeypatch.setattr(imap, "_BATCH_MAILS", 2)
    chance = random.Random(seed)
    connector, held, cursor = account.connector(), {}, None
    for _ in range(6):
        account.add(*(mail("m", str(n), *["a.csv"] * chance.randint(0, 2)) for n in range(chance.randint(0, 4))))
        uids = account.uids()
        account.remove(*chance.sample(uids, k=chance.randint(0, len(uids) // 2)))
        changes, stop = list(connector.read(cursor)), chance.randint(1, 4)
        for change in changes:
            if isinstance(change, Checkpoint):
                cursor, stop = change.cursor, stop - 1
            held = apply(held, [change])
            if stop == 0:
                break
    changes, cursor = read(connector, cursor)
    assert apply(held, changes) == apply({}, read(connector)[0])
    assert cursor == read(connector)[1]


def test_long_listings_come_in_parts(account, monkeypatch):
    monkeypatch.setattr(session, "_LISTED_AT_ONCE", 3)
    account.add(*(mail(str(number)) for number in range(8)))
    account.remove(account.uids()[2])
    assert titles(account.connector()) == ["0", "1", "3", "4", "5", "6", "7"]


def test_large_mails_are_fetched_in_smaller_groups(account, monkeypatch):
    monkeypatch.setattr(imap, "_BATCH_BYTES", 1_000)
    account.add(*(mail(str(number), "x" * 600) for number in range(3)))
    changes = list(account.connector().read(None))
    assert [type(change) for change in changes] == [Upsert, Checkpoint] * 3 + [Checkpoint]


def test_a_mail_over_the_limit_is_a_failure_and_is_not_fetched(account):
    account.add(mail("big", "x" * 5_000), mail("small"))
    (failure, upsert), cursor = read(account.connector(max_bytes=2_000))
    assert isinstance(failure, Failure)
    assert "the limit is 2,000" in failure.error
    assert upsert.document.title == "small"
    account.remove(account.uids()[0])
    assert read(account.connector(max_bytes=2_000), cursor)[0] == [Delete(failure.id)]


# ---- what is wrong


def test_a_wrong_password_is_an_error_of_its_own_and_is_not_shown(account):
    with pytest.raises(ConnectorAuthError) as caught:
        read(account.connector(password="wr0ng-s3cret"))
    assert "wr0ng" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_missing_folder_is_named(account):
    with pytest.raises(SourceNotFoundError, match="no folder Nowhere"):
        read(account.connector(folders=("Nowhere",)))


def test_a_certificate_that_nobody_vouches_for_is_refused(account, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ConnectorAuthError, match="is not trusted"):
        read(account.connector())


def test_a_server_that_is_not_there_can_be_tried_again():
    with pytest.raises(SourceUnavailableError):
        read(Imap(host="localhost", port=free_port(), encryption="none", user=USER, password="x"))


@pytest.mark.parametrize(
    "settings", [{}, {"password": "a", "oauth_token": "b"}, {"password": "a", "port": 0}, {"password": "a", "encryption": "ssl"}]
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        Imap(host="localhost", user="ann", **settings)


@pytest.mark.parametrize("cursor", [7, "x", [1], {"INBOX": 1}, {"INBOX": [1, {"0": "x"}]}, {"INBOX": ["x", {}]}])
def test_a_cursor_of_another_connector_is_rejected(cursor):
    with pytest.raises(CursorRejectedError):
        read(Imap(host="localhost", user="ann", password="x"), cursor)


# ---- servers that answer oddly


@contextlib.contextmanager
def scripted(answers, greeting=b"* OK ready"):
    """A server that knows what to answer to the beginning of a command, and refuses every other one."""
    commands = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(greeting + b"\r\n")
            while line := self.rfile.readline():
                tag, _, command = line.strip().partition(b" ")
                commands.append(command)
                answer = next((answers[key] for key in answers if command.startswith(key)), b"%s BAD unknown\r\n")
                if callable(answer):
                    answer = answer(self, commands)
                if answer is None:
                    return
                self.wfile.write(answer.replace(b"%s", tag))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield (
            Imap(host="127.0.0.1", port=server.server_address[1], encryption="none", user="a nn", password=PASSWORD),
            commands,
        )
        server.shutdown()
        thread.join()


RAW = b"Subject: hello\r\n\r\nwords\r\n"
BODY = b"* 1 FETCH (UID 5 BODY[] {%d}\r\n%b)\r\n" % (len(RAW), RAW)
GOOD = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%s OK done\r\n",
    b"LOGIN": b"%s OK done\r\n",
    b"EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [UIDNEXT 6] x\r\n%s OK [READ-ONLY]\r\n",
    b"UID SEARCH": b"* SEARCH 5\r\n%s OK done\r\n",
    b"UID FETCH 5 (UID RFC822.SIZE)": b"* 1 FETCH (UID 5 RFC822.SIZE 29)\r\n%s OK done\r\n",
    b"UID FETCH 5 (UID BODY.PEEK[])": BODY + b"%s OK done\r\n",
    b"LOGOUT": b"* BYE\r\n%s OK done\r\n",
}


def test_only_commands_that_change_nothing_are_sent():
    with scripted(GOOD) as (connector, commands):
        assert titles(connector) == ["hello"]
    assert [command.split(b" ")[0] for command in commands] == [
        b"CAPABILITY",
        b"LOGIN",
        b"EXAMINE",
        *[b"UID"] * 3,
        b"LOGOUT",
    ]
    assert commands[1] == b'LOGIN "a nn" "p\\"w\\\\ 7"'
    assert commands[3:6] == [b"UID SEARCH ALL", b"UID FETCH 5 (UID RFC822.SIZE)", b"UID FETCH 5 (UID BODY.PEEK[])"]


def test_facts_may_stand_before_or_after_the_mail_and_others_in_between():
    turned = b"* 3 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (FLAGS () BODY[] {%d}\r\n%b UID 5)\r\n* 4 EXISTS\r\n%%s OK done\r\n"
    with scripted(GOOD | {b"UID FETCH 5 (UID BODY.PEEK[])": turned % (len(RAW), RAW)}) as (connector, _):
        assert titles(connector) == ["hello"]


def test_a_mail_that_the_server_refuses_is_a_failure_and_the_rest_is_read():
    answers = {
        b"EXAMINE": GOOD[b"EXAMINE"].replace(b"1 EXISTS", b"2 EXISTS"),
        b"UID SEARCH": b"* SEARCH 5\r\n* SEARCH 7\r\n%s OK done\r\n",
        b"UID FETCH 5,7 (UID RFC822.SIZE)": b"* 1 FETCH (UID 5 RFC822.SIZE 29)\r\n* 2 FETCH (UID 7 RFC822.SIZE 29)\r\n%s OK done\r\n",
        b"UID FETCH 5,7": b"%s NO cannot read\r\n",
        b"UID FETCH 7": b"%s NO cannot read\r\n",
    }
    with scripted(answers | {key: GOOD[key] for key in GOOD if key not in answers}) as (connector, _):
        upsert, failure = read(connector)[0]
    assert upsert.document.title == "hello"
    assert failure.error == "the server does not give it"


def test_a_mail_that_vanishes_meanwhile_is_not_mentioned():
    with scripted(GOOD | {b"UID FETCH 5 (UID RFC822.SIZE)": b"%s OK done\r\n"}) as (connector, _):
        changes, cursor = read(connector)
    assert changes == []
    assert cursor == {"INBOX": [9, {}]}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({b"UID SEARCH": b"* SEARCH\r\n%s OK done\r\n"}, SourceUnavailableError),
        ({b"UID SEARCH": b"%s NO try later\r\n"}, SourceUnavailableError),
        ({b"UID SEARCH": b"%s BAD what\r\n"}, ConnectorError),
        ({b"UID SEARCH": lambda *_: None}, SourceUnavailableError),
        ({b"UID SEARCH": b"* SEARCH x\r\n%s OK done\r\n"}, ConnectorError),
        ({b"UID FETCH 5 (UID RFC822.SIZE)": b"%s NO refused\r\n"}, SourceUnavailableError),
        ({b"UID FETCH 5 (UID BODY.PEEK[])": lambda *_: None}, SourceUnavailableError),
        ({b"EXAMINE": b"* 1 EXISTS\r\n%s OK done\r\n"}, ConnectorError),
        ({b"EXAMINE": b"%s NO [INUSE] busy\r\n"}, SourceUnavailableError),
        ({b"LOGIN": b"%s NO [UNAVAILABLE] later\r\n"}, SourceUnavailableError),
        ({b"LOGIN": b'%s NO wrong password p"w\\ 7\r\n'}, ConnectorAuthError),
        ({b"LOGIN": b'%s BAD LOGIN "a nn" p"w\\ 7\r\n'}, ConnectorAuthError),
    ],
)
def test_an_answer_that_is_no_listing_stops_the_run(changed, kind):
    """Whatever is not listed would be deleted."""
    with scripted(GOOD | changed) as (connector, _), pytest.raises(ConnectorError) as caught:
        read(connector, {"INBOX": [9, {"0": "3"}]})
    assert type(caught.value) is kind
    assert PASSWORD not in f"{caught.value}"
    assert "\n" not in caught.value.message


def test_a_server_that_is_none_of_imap_is_told():
    with scripted({}, greeting=b"220 smtp.example ready") as (connector, _), pytest.raises(ConnectorError):
        read(connector)


def test_mails_removed_during_the_listing_do_not_make_it_incomplete():
    expunged = b"* SEARCH 5\r\n* 1 EXPUNGE\r\n%s OK done\r\n"
    examined = GOOD[b"EXAMINE"].replace(b"1 EXISTS", b"2 EXISTS")
    with scripted(GOOD | {b"UID SEARCH": expunged, b"EXAMINE": examined}) as (connector, _):
        assert titles(connector) == ["hello"]


def oauth(handler, commands):
    handler.wfile.write(b"+ \r\n")
    commands.append(handler.rfile.readline().strip())
    return b"%s OK done\r\n"


def refusing_oauth(handler, commands):
    oauth(handler, commands)
    handler.wfile.write(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
    commands.append(handler.rfile.readline())
    return b"%s NO refused\r\n"


def test_an_access_token_is_sent_by_xoauth2():
    with scripted(GOOD | {b"AUTHENTICATE XOAUTH2": oauth}) as (connector, commands):
        oauth_connector = Imap(**{**dict(connector), "password": None, "oauth_token": SecretStr("t0ken")})
        assert titles(oauth_connector) == ["hello"]
        assert "t0ken" not in repr(oauth_connector)
    assert base64.b64decode(commands[2]) == b"user=a nn\1auth=Bearer t0ken\1\1"
    with scripted(GOOD | {b"AUTHENTICATE XOAUTH2": refusing_oauth}) as (connector, commands):
        oauth_connector = Imap(**{**dict(connector), "password": None, "oauth_token": SecretStr("t0ken")})
        with pytest.raises(ConnectorAuthError):
            read(oauth_connector)
    assert commands[3] == b"\r\n"


# ---- sets of UIDs


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([5], "5"), ([1, 2, 3], "1:3"), ([9, 1, 2, 2, 7, 8], "1:2,7:9"), ([1, 3, 5], "1,3,5")]
)
def test_ranges_are_short_and_come_back(numbers, text):
    assert uid_ranges.write(numbers) == text
    assert list(uid_ranges.read(text)) == sorted(set(numbers))


# ---- through the host


@pytest.fixture
def ingestor(catalog, embedder):
    parser = ProcessParser()
    yield Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)
    parser.close()


def test_the_host_follows_a_mailbox(account, ingestor, catalog):
    page = EmailMessage()
    page["Subject"] = "Straße"
    page.set_content("<html><head><title>x</title></head><body><p>Über die Straße</p></body></html>", subtype="html")
    account.add(mail("one"), mail("two", "words", "a.csv"), page)
    connector = account.connector()
    report = ingestor.run("mail", connector, default_acl=("public",))
    assert (report.added, report.quarantined) == (4, 0)
    (text,) = (text for name in catalog.document_ids("mail") if "Straße" in (text := shown(catalog, name)))
    assert "Subject: Straße" in text
    assert "Über die Straße" in text
    account.remove(account.uids()[1])
    account.add(mail("three"))
    report = ingestor.run("mail", connector, default_acl=("public",))
    assert (report.added, report.deleted) == (1, 2)
    assert len(catalog.document_ids("mail")) == 3


def shown(catalog, name):
    return catalog.text("mail", name, principal=Principal("local"))
