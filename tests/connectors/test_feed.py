import contextlib
import http.server
import json
import sys
import threading

import pytest

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Failure,
    MissingDependencyError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import AddressRefusedError
from llmapp.fetching import Fetcher
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors import feed
from llmapp_connectors.feed import Feed

SECRET = "Bearer canary-91c2"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        server = self.server
        status, body, server.asked = server.status, server.body, [*server.asked, self.headers]
        body = body.encode() if isinstance(body, str) else body
        tag = f'"{hash(body)}"'
        if status == 200 and self.headers.get("If-None-Match") == tag:
            status, body = 304, b""
        server.answered.append(status)  # before the client has it: the test may look at once
        self.send_response(status)
        for name, value in {"ETag": tag, "Content-Type": server.media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.status, made.body, made.media_type, made.asked, made.answered = 200, rss(item(1)), "application/rss+xml", [], []
    made.url = f"http://127.0.0.1:{made.server_port}/feed.xml"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    made = Fetcher.__init__
    monkeypatch.setattr(Fetcher, "__init__", lambda self, **more: made(self, sleep=lambda _: None, **more))


def item(number, *, text="words", **more):
    parts = {
        "guid": f"item-{number}",
        "link": f"https://blog.example/{number}",
        "title": f"Title {number}",
        "description": f"&lt;p&gt;{text} {number}&lt;/p&gt;",
        "pubDate": f"Mon, {number:02} Jan 2024 10:00:00 +0200",
        **more,
    }
    return "<item>" + "".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if value is not None) + "</item>"


def rss(*items):
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Blog</title>{"".join(items)}</channel></rss>'


ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><id>urn:blog</id><updated>2024-02-01T00:00:00Z</updated>
<entry><id>urn:1</id><title>Über uns</title><link href="/post/1"/><updated>2024-02-01T12:30:00+02:00</updated>
<author><name>Ada</name></author><category term="news"/><category label="Old"/>
<summary>short</summary><content type="html">&lt;p&gt;Long &lt;a href="/x"&gt;text&lt;/a&gt;&lt;script&gt;x()&lt;/script&gt;&lt;/p&gt;</content></entry>
<entry><id>urn:2</id><title>Plain</title><content type="text">a &lt; b</content></entry>
</feed>"""


def connector(server, **settings):
    return Feed(url=server.url, allow_private=True, **settings)


def read(server, cursor=None, **settings):
    return list(connector(server, **settings).read(cursor))


def documents(changes):
    return {change.document.id: change.document for change in changes if isinstance(change, Upsert)}


def cursor_of(changes):
    assert isinstance(changes[-1], Checkpoint)
    return json.loads(json.dumps(changes[-1].cursor))


class TestFeedKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, server):
        server.body = rss(item(3), item(2), item(1), item(4, title=None, description=""), item(2, text="again"))
        return connector(server, authorization=SECRET)


def test_an_item_becomes_a_document(server):
    server.body = rss(item(5, author="ada@blog.example", category="news"))
    document = documents(read(server))["item-5"]
    assert (document.uri, document.title, document.media_type) == ("https://blog.example/5", "Title 5", "text/html")
    assert document.content() == b"<p>words 5</p>"
    assert document.metadata == {"published": "2024-01-05T08:00:00Z", "author": "ada@blog.example", "tags": ["news"]}


def test_atom_is_read_too(server):
    server.body, server.media_type = ATOM, "application/atom+xml"
    found = documents(read(server))
    assert list(found) == ["urn:2", "urn:1"], "oldest first"
    assert found["urn:1"].title == "Über uns"
    assert found["urn:1"].uri == server.url.replace("feed.xml", "post/1")
    assert b"<script" not in found["urn:1"].content()
    assert found["urn:1"].metadata == {"updated": "2024-02-01T10:30:00Z", "author": "Ada", "tags": ["news", "Old"]}
    assert (found["urn:2"].text, found["urn:2"].content) == ("a < b", None)


def test_an_unchanged_feed_costs_one_conditional_request(server):
    cursor = cursor_of(read(server))
    assert read(server, cursor) == [Checkpoint(cursor)]
    assert server.answered == [200, 304]


def test_only_new_and_edited_items_are_told_and_those_that_left_are_not_gone(server):
    server.body = rss(item(2), item(1))
    cursor = cursor_of(read(server))
    server.body = rss(item(4), item(3), item(2, text="edited"))
    changes = read(server, cursor)
    assert list(documents(changes)) == ["item-2", "item-3", "item-4"]
    assert len(changes) == 4
    server.body = rss(item(5), item(1))
    assert list(documents(read(server, cursor_of(changes)))) == ["item-5"], "one that comes back is known"


def test_what_is_remembered_has_a_limit(server, monkeypatch):
    monkeypatch.setattr(feed, "_MAX_SEEN", 3)
    cursor = None
    for first in (1, 4, 7):
        server.body = rss(*(item(number) for number in range(first + 2, first - 1, -1)))
        cursor = cursor_of(read(server, cursor))
    assert list(cursor["seen"]) == ["item-7", "item-8", "item-9"]


def test_an_item_without_id_is_known_by_its_link_or_else_by_its_words(server):
    server.body = rss(item(1, guid=None), item(2, guid=None, link=None))
    first = documents(read(server))
    assert "https://blog.example/1" in first
    assert len(first) == 2
    assert {document.uri for document in first.values()} == {"https://blog.example/1", server.url}
    assert documents(read(server)).keys() == first.keys()


def test_an_item_that_comes_twice_is_told_once(server):
    server.body = rss(item(1), item(1, text="again"))
    assert list(documents(read(server))) == ["item-1"]


def test_an_item_of_a_title_only_is_its_title(server):
    server.body = rss(item(1, description=None))
    assert documents(read(server))["item-1"].text == "Title 1"


def test_an_item_of_nothing_is_a_failure_that_is_told_again(server):
    server.body = rss(item(2), item(1, title=None, description="  "))
    changes = read(server)
    assert changes[0] == Failure("item-1", "the item has neither text nor title", "https://blog.example/1", remembered=True)
    server.body = rss(item(3), item(1, title=None, description=None))
    assert isinstance(read(server, cursor_of(changes))[0], Failure)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://[", "mailto:a@blog.example", "//["])
def test_a_link_that_is_no_web_address_is_no_uri(server, link):
    server.body = rss(item(1, link=link))
    assert documents(read(server))["item-1"].uri == server.url


def test_a_feed_without_items_is_only_a_checkpoint(server):
    server.body = rss()
    assert [type(change) for change in read(server)] == [Checkpoint]


@pytest.mark.parametrize(
    "body", ["<html><body>Sign in</body></html>", "", "{}", "plain", "<rss><channel><item", b"\xff\xfe\x00\xd8", "<" * 9999]
)
def test_what_is_no_feed_is_an_error_that_does_not_repeat_it(server, body):
    server.body, server.media_type = body, "text/html"
    with pytest.raises(ConnectorError, match=r"/feed\.xml is no feed") as caught:
        list(Feed(url=f"{server.url}?key=s3cret", allow_private=True).read(None))
    assert "Sign" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_feed_with_a_mistake_in_it_is_read_as_far_as_it_goes(server):
    server.body = rss(item(2), item(1, title="Fish & Chips"))
    assert set(documents(read(server))) == {"item-1", "item-2"}


def test_nothing_is_fetched_or_opened_but_the_feed(server, tmp_path):
    (tmp_path / "secret.txt").write_text("s3cret")
    declared = (
        f'<!DOCTYPE rss [<!ENTITY x SYSTEM "{(tmp_path / "secret.txt").as_uri()}"><!ENTITY y SYSTEM "{server.url}?entity">]>'
    )
    server.body = rss(item(1, description="&x; &y; words")).replace("<rss", declared + "<rss")
    with contextlib.suppress(ConnectorError):
        assert "s3cret" not in str(read(server))
    server.body = str(tmp_path / "secret.txt")  # a body that looks like a path, or like an address
    with pytest.raises(ConnectorError):
        read(server)
    server.body = server.url
    with pytest.raises(ConnectorError):
        read(server)
    assert len(server.asked) == 3


def test_entities_that_unfold_without_end_cost_no_memory(server):
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    server.body = rss(item(1, description="&e9;")).replace("<rss", f'<!DOCTYPE rss [<!ENTITY e0 "lol">{levels}]><rss')
    with contextlib.suppress(ConnectorError):
        assert all(len(document.text or document.content()) < 1_000_000 for document in documents(read(server)).values())


@pytest.mark.parametrize(
    ("status", "error"), [(500, SourceUnavailableError), (401, ConnectorAuthError), (400, ConnectorError)]
)
def test_a_feed_that_is_refused_stops_the_run(server, status, error):
    server.status = status
    with pytest.raises(error):
        read(server)


def test_a_feed_that_says_unchanged_unasked_is_not_believed(server):
    server.status, server.body = 304, ""
    with pytest.raises(ConnectorError):
        read(server)


def test_a_feed_over_the_limit_stops_the_run(server):
    with pytest.raises(ConnectorError, match="more than 100 bytes"):
        read(server, max_bytes=100)


def test_private_addresses_are_refused_unless_they_are_asked_for(server):
    with pytest.raises(AddressRefusedError):
        list(Feed(url=server.url).read(None))


@pytest.mark.parametrize("cursor", [1, "x", [], {}, {"etag": 1, "modified": "", "seen": {}}])
def test_a_cursor_of_something_else_is_rejected(server, cursor):
    with pytest.raises(CursorRejectedError):
        read(server, cursor)


def test_the_credential_is_sent_and_not_shown(server):
    made = connector(server, authorization=SECRET, user_agent="reader/1.0")
    changes = list(made.read(None))
    assert (server.asked[0]["Authorization"], server.asked[0]["User-Agent"]) == (SECRET, "reader/1.0")
    assert SECRET not in f"{made!r} {made} {changes}"


def test_a_missing_package_names_its_extra(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "feedparser", None)
    with pytest.raises(MissingDependencyError) as caught:
        read(server)
    assert caught.value.hint == "pip install 'llmapp[feed]'"


def test_the_host_keeps_what_has_left_the_feed(server, ingestor, catalog):
    server.body = rss(item(2), item(1))
    ingestor.run("blog", connector(server), default_acl=("public",))
    server.body = rss(item(4), item(3))
    ingestor.run("blog", connector(server), default_acl=("public",))
    assert catalog.document_ids("blog") == {"item-1", "item-2", "item-3", "item-4"}
