import contextlib
import gzip
import http.server
import json
import threading

import pytest

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
from llmapp.errors import AddressRefusedError
from llmapp.fetching import Fetcher
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.web import Web, crawl, manners
from llmapp_connectors.web.manners import Robots
from llmapp_connectors.web.pages import normalised, page

SECRET = "Bearer canary-7d1f"


class Site:
    """A real site on loopback: pages by path; it answers conditional requests by a hash of the page."""

    def __init__(self, server):
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.pages = {}
        self.requests = []
        self.validates = True

    def asked(self):
        """Paths asked for since the last time, and their statuses."""
        asked, self.requests = self.requests, []
        return {path: status for path, status, _ in asked}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        site = self.server.site
        found = site.pages.get(self.path, (404, {}, "no such page"))
        if callable(found):
            found = found(self)
        status, headers, body = found if isinstance(found, tuple) else (200, {}, found)
        body = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "text/html", **headers}
        if status == 200 and site.validates:
            headers["ETag"] = f'"{hash(body)}"'
            if self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
        site.requests.append((self.path, status, {name.lower(): value for name, value in self.headers.items()}))
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.site = Site(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site():
    with running() as made:
        yield made


@pytest.fixture
def other():
    with running() as made:
        yield made


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(manners.time, "sleep", lambda _: None)
    waited = Fetcher.__init__
    monkeypatch.setattr(Fetcher, "__init__", lambda self, **more: waited(self, sleep=lambda _: None, **more))


def links(*targets, head="", text="words"):
    anchors = "".join(f'<a href="{target}">x</a>' for target in targets)
    return f"<html><head>{head}</head><body><p>{text}</p>{anchors}</body></html>"


def tree(site):
    site.pages |= {"/": links("/a", "/b"), "/a": links("/a/1", "/a/2"), "/b": links("/"), "/a/1": links(), "/a/2": links()}
    return {f"{site.url}{path}" for path in ("/", "/a", "/b", "/a/1", "/a/2")}


def web(site, path="/", **settings):
    return Web(start=site.url + path, allow_private=True, delay_s=0, **settings)


def read(connector, cursor=None):
    return list(connector.read(cursor))


def upserts(changes):
    return [change.document.id for change in changes if isinstance(change, Upsert)]


def names(changes, kind):
    return [change.id for change in changes if isinstance(change, kind)]


def cursor_of(changes):
    assert isinstance(changes[-1], Checkpoint)
    return json.loads(json.dumps(changes[-1].cursor))


class TestWebKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, site, monkeypatch):
        monkeypatch.setattr(crawl, "_PAGES_A_CHECKPOINT", 1)
        tree(site)
        site.pages |= {
            "/b": links("/gone", "/broken.pdf", "/old"),
            "/broken.pdf": (500, {}, b""),
            "/old": (301, {"Location": "/a"}, ""),
        }
        return web(site, authorization=SECRET)


class TestWebKeepsTheContractFromASitemap(ConnectorContract):
    @pytest.fixture
    def connector(self, site):
        site.pages |= {"/map.xml": sitemap(site, "/a", "/b", "/c"), "/a": links(), "/b": links("/x"), "/c": (503, {}, "")}
        return web(site, "/map.xml")


def sitemap(site, *paths, root="urlset", item="url"):
    places = "".join(f"<{item}><loc>\n {site.url}{path} </loc></{item}>" for path in paths)
    return 200, {"Content-Type": "application/xml"}, f'<?xml version="1.0"?><{root} xmlns="x">{places}</{root}>'


# what is read


def test_every_page_is_read_once_breadth_first(site):
    expected = tree(site)
    changes = read(web(site))
    assert upserts(changes) == [f"{site.url}{path}" for path in ("/", "/a", "/b", "/a/1", "/a/2")]
    assert set(upserts(changes)) == expected
    assert [path for path, *_ in site.requests] == ["/robots.txt", "/", "/a", "/b", "/a/1", "/a/2"]


def test_a_document_has_its_content_type_and_address(site):
    site.pages |= {"/": links("/manual.pdf"), "/manual.pdf": (200, {"Content-Type": "application/pdf; x=y"}, b"%PDF-1.7")}
    document = read(web(site))[1].document
    assert (document.uri, document.media_type, document.content()) == (
        f"{site.url}/manual.pdf",
        "application/pdf",
        b"%PDF-1.7",
    )


def test_what_is_no_document_is_not_asked_for_or_not_told(site):
    site.pages |= {
        "/": links(
            "/logo.png", "/style.css", "/app.js", "/data.zip", "/film.mp4", "/setup.exe", "/x.tar.gz", "/image", "/data"
        )
        + '<img src="/i.png"><link href="/s.css">',
        "/image": (200, {"Content-Type": "image/png"}, b"x"),
        "/data": (200, {"Content-Type": "application/json"}, b"{}"),
    }
    assert upserts(read(web(site))) == [f"{site.url}/"]
    assert set(site.asked()) == {"/robots.txt", "/", "/image", "/data"}


def test_loops_end_and_one_address_written_in_many_ways_is_one_page(site):
    site.pages["/"] = links(
        "/", "#x", "/?utm_source=a", f"http://127.0.0.1:{site.port}/./b/../#y", "/a", "a", "/%61", "./a#z"
    )
    site.pages["/a"] = links("/", "a")
    assert upserts(read(web(site))) == [f"{site.url}/", f"{site.url}/a"]


def test_redirects_give_one_document_under_the_last_address(site):
    site.pages |= {
        "/": links("/old", "/older", "/new"),
        "/older": (301, {"Location": "/old"}, ""),
        "/old": (302, {"Location": "/new?utm_medium=x#top"}, ""),
        "/new": links(),
        "/new?utm_medium=x": links(),
    }
    assert upserts(read(web(site))) == [f"{site.url}/", f"{site.url}/new"]


def test_a_redirect_that_leaves_the_site_brings_no_document(site, other):
    site.pages |= {"/": links("/away"), "/away": (302, {"Location": f"{other.url}/"}, "")}
    other.pages["/"] = links("/more")
    assert upserts(read(web(site))) == [f"{site.url}/"]
    assert "/more" not in other.asked()


def test_other_hosts_are_left_alone_unless_they_are_asked_for(site, other):
    site.pages["/"] = links(f"{other.url}/x")
    other.pages["/x"] = links()
    assert upserts(read(web(site))) == [f"{site.url}/"]
    assert other.requests == []
    assert upserts(read(web(site, same_site=False))) == [f"{site.url}/", f"{other.url}/x"]


def test_depth_and_number_of_pages_have_a_limit(site):
    tree(site)
    assert upserts(read(web(site, max_depth=0))) == [f"{site.url}/"]
    assert len(upserts(read(web(site, max_depth=1)))) == 3
    assert len(upserts(read(web(site, max_pages=4)))) == 4


def test_a_calendar_without_end_stops_at_the_limit(site):
    def month(handler):
        number = int(handler.path.removeprefix("/cal/") or 0)
        return links(f"/cal/{number + 1}", *(f"/cal/{number}{digit}" for digit in range(10)))

    class Endless(dict):
        def get(self, path, default=None):
            return month if path.startswith("/cal/") else super().get(path, default)

    site.pages = Endless({"/": links("/cal/1")})
    assert len(upserts(read(web(site, max_pages=50)))) == 50
    assert len(site.requests) == 51


def test_globs_choose_the_paths(site):
    tree(site)
    assert upserts(read(web(site, include=["/a*"]))) == [f"{site.url}{path}" for path in ("/a", "/a/1", "/a/2")]
    assert len(upserts(read(web(site, exclude=["/a/*", "/b"])))) == 2


def test_pages_say_what_they_do_not_want(site):
    site.pages |= {
        "/": links("/noindex", "/nofollow", "/header", "/none") + '<a rel="external NoFollow" href="/no">x</a><!-- <a href="/no"> -->',
        "/noindex": links("/below", head='<meta content="NOINDEX" name="robots">'),
        "/nofollow": links("/no", head='<meta name="llmapp" content="nofollow">'),
        "/none": links("/no", head="<meta name=robots content=none>"),
        "/header": (200, {"X-Robots-Tag": "noindex, noarchive"}, links("/below2")),
        "/below": links(), "/below2": links(), "/no": links(),
    }  # fmt: skip
    assert upserts(read(web(site))) == [f"{site.url}{path}" for path in ("/", "/nofollow", "/below", "/below2")]
    assert "/no" not in site.asked()


def test_a_base_changes_where_links_lead(site):
    site.pages |= {"/": links("x", head='<base href="/d/">'), "/d/x": links()}
    assert upserts(read(web(site))) == [f"{site.url}/", f"{site.url}/d/x"]


# sitemaps


def test_a_sitemap_is_all_that_is_read(site):
    site.pages |= {"/map.xml": sitemap(site, "/a", "/b", "/a", "/x.png"), "/a": links("/c"), "/b": links(), "/c": links()}
    assert upserts(read(web(site, "/map.xml", max_depth=3))) == [f"{site.url}/a", f"{site.url}/b"]


def test_an_index_of_sitemaps_is_followed_also_packed_and_in_a_circle(site):
    status, headers, packed = sitemap(site, "/b")
    site.pages |= {
        "/index.xml": sitemap(site, "/one.xml", "/two.xml.gz", "/index.xml", root="sitemapindex", item="sitemap"),
        "/one.xml": sitemap(site, "/a"),
        "/two.xml.gz": (status, {**headers, "Content-Type": "application/gzip"}, gzip.compress(packed.encode())),
        "/a": links(), "/b": links(),
    }  # fmt: skip
    assert upserts(read(web(site, "/index.xml"))) == [f"{site.url}/a", f"{site.url}/b"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((503, {}, ""), SourceUnavailableError),
        ((404, {}, ""), SourceNotFoundError),
        ((403, {}, ""), ConnectorAuthError),
        (links(), ConnectorError),
        ((200, {"Content-Type": "text/xml"}, "<urlset><url><loc>http://127.0.0.1/a</loc>"), SourceUnavailableError),
        ((200, {"Content-Type": "application/gzip"}, gzip.compress(b"<urlset>" + b"x" * 5000)[:30]), ConnectorError),
    ],
)
def test_a_sitemap_that_cannot_be_read_whole_stops_the_run(site, answer, error):
    site.pages |= {
        "/index.xml": sitemap(site, "/one.xml", "/two.xml", root="sitemapindex", item="sitemap"),
        "/one.xml": sitemap(site, "/a"),
        "/two.xml": answer,
    }
    with pytest.raises(error):
        read(web(site, "/index.xml"))


def test_entities_of_a_sitemap_do_not_unfold(site):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><urlset><loc>http://127.0.0.1/&b;</loc></urlset>'
    site.pages["/map.xml"] = (200, {"Content-Type": "text/xml"}, bomb)
    assert upserts(read(web(site, "/map.xml"))) == []


# robots.txt


def test_robots_txt_is_obeyed(site):
    tree(site)
    site.pages["/robots.txt"] = (200, {"Content-Type": "text/plain"}, "User-agent: *\nDisallow: /a\nAllow: /a/2$\n")
    site.pages["/b"] = links("/a/2", "/redirect")
    site.pages["/redirect"] = (302, {"Location": "/a"}, "")
    assert upserts(read(web(site))) == [f"{site.url}{path}" for path in ("/", "/b", "/a/2")]


def test_a_start_that_is_not_for_crawlers_is_an_error(site):
    site.pages |= {"/": links(), "/robots.txt": "User-agent: llmapp\nDisallow: /"}
    with pytest.raises(ConnectorError, match=r"robots\.txt"):
        read(web(site))
    assert "/" not in site.asked()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_robots_txt_that_fails_stops_the_run(site, status):
    site.pages |= {"/": links(), "/robots.txt": (status, {}, "")}
    with pytest.raises(SourceUnavailableError):
        read(web(site))
    assert "/" not in site.asked()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_robots_txt_that_is_not_there_allows_everything(site, status):
    site.pages |= {"/": links(), "/robots.txt": (status, {}, "User-agent: *\nDisallow: /")}
    assert upserts(read(web(site))) == [f"{site.url}/"]


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow:", "/a", True),
        ("User-agent: *\nDisallow: /a", "/abc", False),
        ("User-agent: *\nDisallow: /a\nAllow: /ab", "/abc", True),
        ("User-agent: *\nAllow: /ab\nDisallow: /abc", "/abc", False),
        ("User-agent: *\nDisallow: /a\nAllow: /a", "/a", True),
        ("User-agent: *\nDisallow: /*?", "/a?b", False),
        ("User-agent: *\nDisallow: /*?", "/a", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf?z", True),
        ("User-agent: *\nDisallow: /a$", "/a/b", True),
        ("User-agent: *\nDisallow: /a*b*$", "/axb", False),
        ("User-agent: *\nDisallow: /ab*b$", "/ab", True),
        ("user-AGENT: LLMapp/2 # us\nUser-agent: x\nDISALLOW: /a # no\n\nUser-agent: *\nDisallow: /", "/b", True),
        ("User-agent: x\nUser-agent: llmapp\nDisallow: /a", "/a", False),
        ("User-agent: llmapp\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: llmapp\nDisallow: /c", "/c", False),
        ("User-agent: llmapp\nDisallow: /a\nUser-agent: x\nDisallow: /b", "/b", True),
        ("User-agent: llmapp\n\nSitemap: /x\nDisallow: /a", "/a", False),
        ("User-agent: *\nDisallow: /%7Ejoe/ü", "/~joe/%C3%BC", False),
        ("Disallow: /", "/a", True),
        ("\xff\0:::\nUser-agent\nDisallow", "/a", True),
        ("User-agent: *\nDisallow: /" + "*a" * 2000 + "b", "/" + "a" * 5000, True),
    ],
)
def test_rules_are_read_as_the_standard_says(rules, path, allowed):
    assert Robots(rules.encode(), "llmapp/0.1").allow(f"https://h.example{path}") is allowed


def test_a_crawler_takes_the_time_that_is_asked_for_within_reason(site, monkeypatch):
    waits = []
    monkeypatch.setattr(manners.time, "sleep", waits.append)
    site.pages |= {"/": links("/a"), "/a": links(), "/robots.txt": "User-agent: *\nCrawl-delay: 900"}
    read(web(site))
    assert 0 < max(waits) <= 30
    assert Robots(b"User-agent: *\nCrawl-delay: 2.5", "x").delay_s == 2.5
    assert Robots(b"User-agent: *\nCrawl-delay: nan", "x").delay_s == 0


# what has changed


def test_an_unchanged_site_costs_conditional_requests_and_tells_nothing(site):
    tree(site)
    cursor = cursor_of(read(web(site)))
    site.asked()
    changes = read(web(site), cursor)
    assert changes == [Checkpoint(cursor)]
    assert site.asked() == {"/robots.txt": 404, "/": 304, "/a": 304, "/b": 304, "/a/1": 304, "/a/2": 304}


def test_a_site_without_validators_is_compared_by_content(site):
    site.validates = False
    tree(site)
    cursor = cursor_of(read(web(site)))
    assert read(web(site), cursor) == [Checkpoint(cursor)]


def test_changes_additions_and_removals_are_told(site):
    tree(site)
    cursor = cursor_of(read(web(site)))
    site.pages |= {"/a": links("/a/1", "/new", text="edited"), "/new": links()}
    del site.pages["/b"]
    changes = read(web(site), cursor)
    assert upserts(changes) == [f"{site.url}/a", f"{site.url}/new"]
    assert names(changes, Delete) == [f"{site.url}/a/2", f"{site.url}/b"], "one is no longer linked, the other is gone"
    assert read(web(site), cursor_of(changes)) == [Checkpoint(cursor_of(changes))]


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_takes_along_what_only_it_linked_to(site, status):
    tree(site)
    cursor = cursor_of(read(web(site)))
    site.pages["/a"] = (status, {}, "")
    assert names(read(web(site), cursor), Delete) == [f"{site.url}{path}" for path in ("/a", "/a/1", "/a/2")]


def test_a_page_that_asks_not_to_be_indexed_any_more_is_deleted(site):
    tree(site)
    cursor = cursor_of(read(web(site)))
    site.pages["/b"] = links("/", head='<meta name="robots" content="noindex">')
    assert names(read(web(site), cursor), Delete) == [f"{site.url}/b"]


def test_a_page_that_moved_is_told_under_its_new_address(site):
    tree(site)
    cursor = cursor_of(read(web(site)))
    site.pages |= {"/b": (301, {"Location": "/c"}, ""), "/c": links("/")}
    changes = read(web(site), cursor)
    assert (upserts(changes), names(changes, Delete)) == ([f"{site.url}/c"], [f"{site.url}/b"])


def test_a_document_with_two_ways_to_it_stays_while_one_is_left(site):
    site.pages |= {"/": links("/old", "/new"), "/old": (301, {"Location": "/new"}, ""), "/new": links()}
    cursor = cursor_of(read(web(site)))
    del site.pages["/old"]
    assert names(read(web(site), cursor), Delete) == []


# what fails


@pytest.mark.parametrize("status", [500, 502, 503, 429, 403, 401, 400])
def test_a_page_that_fails_deletes_nothing_below_it(site, status):
    tree(site)
    cursor = cursor_of(read(web(site)))
    whole, site.pages["/a"] = site.pages["/a"], (status, {}, "secret body")
    changes = read(web(site), cursor)
    assert [type(change) for change in changes] == [Failure, Checkpoint]
    assert changes[0].id == f"{site.url}/a"
    assert "secret" not in changes[0].error
    assert cursor_of(changes) == cursor
    site.pages["/a"] = whole
    assert read(web(site), cursor_of(changes)) == [Checkpoint(cursor)]


def test_a_page_that_breaks_off_is_no_short_document(site):
    tree(site)
    cursor = cursor_of(read(web(site)))

    def cut(handler):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n<html>")
        handler.wfile.flush()
        handler.connection.close()
        return 200, {}, ""

    site.pages["/a"] = cut
    assert [type(change) for change in read(web(site), cursor)] == [Failure, Checkpoint]


def test_a_read_from_the_start_does_not_claim_to_be_whole_when_links_are_unknown(site):
    """The host deletes what a complete read from the start did not mention."""
    tree(site)
    site.pages["/a"] = (503, {}, "")
    changes = read(web(site))
    assert upserts(changes) == [f"{site.url}/", f"{site.url}/b"]
    assert not changes[-1].complete
    tree(site)
    healed = read(web(site), cursor_of(changes))
    assert len(upserts(healed)) == 3
    assert healed[-1].complete


def test_a_failure_that_hides_no_links_ends_no_read(site):
    site.pages |= {"/": links("/a.pdf", "/b", "/c"), "/a.pdf": (500, {}, ""), "/b": (403, {}, ""), "/c": links()}
    changes = read(web(site))
    assert names(changes, Failure) == [f"{site.url}/a.pdf", f"{site.url}/b"]
    assert upserts(changes) == [f"{site.url}/", f"{site.url}/c"]


@pytest.mark.parametrize(
    ("status", "error"), [(503, SourceUnavailableError), (404, SourceNotFoundError), (401, ConnectorAuthError)]
)
@pytest.mark.parametrize("path", ["/", "/map.xml"])
def test_a_start_that_fails_stops_the_run(site, status, error, path):
    site.pages |= {"/": links("/a"), "/a": links(), "/map.xml": sitemap(site, "/a")}
    cursor = cursor_of(read(web(site, path)))
    site.pages[path] = (status, {}, "")
    with pytest.raises(error):
        read(web(site, path), cursor)


def test_a_site_that_stops_answering_ends_the_run(site):
    paths = [f"/{number}" for number in range(50)]
    site.pages |= {"/": links(*paths), **dict.fromkeys(paths, links())}
    cursor = cursor_of(read(web(site)))
    site.pages |= dict.fromkeys(paths, (503, {}, ""))
    site.asked()
    with pytest.raises(SourceUnavailableError, match="9 before it"):
        read(web(site), cursor)
    assert len(site.asked()) == 12


def test_a_page_over_the_limit_is_a_failure(site):
    site.pages |= {"/": links("/big"), "/big": links(text="x" * 5000)}
    changes = read(web(site, max_bytes=1000))
    assert names(changes, Failure) == [f"{site.url}/big"]


def test_a_cursor_of_something_else_is_rejected(site):
    tree(site)
    for cursor in (
        5,
        "x",
        [],
        {},
        {"urls": 1, "pages": 2},
        {"urls": ["a"], "pages": [[1]]},
        {"urls": ["a"], "pages": [["", "", "", "", [9]]]},
    ):
        with pytest.raises(CursorRejectedError):
            read(web(site), cursor)


def test_a_crawl_that_was_cut_short_goes_on_and_sees_what_is_gone(site, monkeypatch):
    monkeypatch.setattr(crawl, "_PAGES_A_CHECKPOINT", 1)
    tree(site)
    before = read(web(site))
    cursor = cursor_of(before)
    del site.pages["/a/1"]
    site.pages["/b"] = links("/", text="edited")
    whole = read(web(site), cursor)
    for place, change in enumerate(whole[:-1]):
        if isinstance(change, Checkpoint):
            told = set(upserts(whole[:place])) | set(names(whole[:place], Delete))
            rest = read(web(site), change.cursor)
            assert told | set(upserts(rest)) | set(names(rest, Delete)) == {f"{site.url}/b", f"{site.url}/a/1"}


# where it goes, and what it shows


def test_private_addresses_are_refused_unless_they_are_asked_for(site):
    tree(site)
    with pytest.raises(AddressRefusedError):
        read(Web(start=site.url, delay_s=0))


def test_a_link_to_where_a_cloud_keeps_credentials_is_passed_over(site):
    site.pages |= {
        "/": links("http://169.254.169.254/latest", "/a"),
        "/a": (302, {"Location": "http://169.254.169.254/"}, ""),
    }
    changes = read(web(site, same_site=False))
    assert [type(change) for change in changes] == [Upsert, Checkpoint]


@pytest.mark.parametrize("start", ["", "ftp://h.example/", "https://user:s3cret@h.example/", "not an address"])
def test_a_start_that_is_no_address_is_an_error_without_secrets(start):
    with pytest.raises(ConnectorError) as caught:
        read(Web(start=start))
    assert "s3cret" not in str(caught.value)


def test_the_credential_is_shown_to_the_origin_of_the_start_only(site, other):
    site.pages |= {"/": links("/a", f"{other.url}/x"), "/a": links()}
    other.pages["/x"] = links()
    connector = web(site, same_site=False, authorization=SECRET, user_agent="reader/1.0")
    changes = read(connector)
    assert all(headers["authorization"] == SECRET for _, _, headers in site.requests)
    assert all("authorization" not in headers for _, _, headers in other.requests)
    assert all(headers["user-agent"] == "reader/1.0" for _, _, headers in site.requests + other.requests)
    assert SECRET not in f"{connector!r} {connector} {changes}"


# addresses and pages


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("HTTPS://Ex.COM:443/a/./b/../c?#f", "https://ex.com/a/c"),
        ("http://ex.com", "http://ex.com/"),
        ("http://ex.com:8080/", "http://ex.com:8080/"),
        ("https://bücher.example/ü b?q=ü", "https://xn--bcher-kva.example/%C3%BC%20b?q=%C3%BC"),
        ("http://ex.com/%7ea%2fb%c3%bc", "http://ex.com/~a%2Fb%C3%BC"),
        ("http://ex.com/?utm_source=x&b=2&a=1&gclid=3&", "http://ex.com/?b=2&a=1"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("http://ex.com/../../x", "http://ex.com/x"),
        (" http://ex.com/x\n", "http://ex.com/x"),
        ("mailto:a@ex.com", None), ("javascript:x()", None), ("http://", None), ("http://u@ex.com/", None),
        ("http://ex.com:99999/", None), ("http://ex.com:x/", None), ("http://[::1/", None), ("", None), ("http://" + "a" * 300, None),
    ],
)  # fmt: skip
def test_an_address_is_written_in_one_way(written, expected):
    assert normalised(written) == expected
    assert expected is None or normalised(expected) == expected


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<a b='", "<a b=\"'", "<![", "<script>", "<a href=x ", '<a "<a" \'', "<base href=x>", "= "]
)
def test_hostile_markup_costs_no_time(piece):
    page((piece * (300_000 // len(piece))).encode(), "http://h.example/", "", "llmapp")


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ('<a href="/gr\xfcn">'.encode("latin-1"), "text/html; charset=ISO-8859-1"),
        ('<meta charset="latin-1"><a href="/gr\xfcn">'.encode("latin-1"), ""),
        ('<a href="/gr\xfcn">'.encode(), "text/html; charset=no-such-code"),
        (b'<a href="/gr&uuml;n">', ""),
    ],
)
def test_links_are_read_in_the_encoding_of_the_page(body, header):
    assert page(body, "http://h.example/", header, "llmapp").links == ("http://h.example/gr%C3%BCn",)


# with the real host


def test_the_host_takes_in_a_site_and_follows_it(site, ingestor, catalog):
    tree(site)
    site.pages["/notes.txt"] = (200, {"Content-Type": "text/plain"}, "plain words about the deductible")
    site.pages["/b"] = links("/notes.txt")
    connector = web(site, authorization=SECRET)
    ingestor.run("site", connector, default_acl=("public",))
    assert len(catalog.document_ids("site")) == 6
    site.pages["/a"] = (503, {}, "")
    ingestor.run("site", connector, default_acl=("public",))
    assert len(catalog.document_ids("site")) == 6, "an outage deletes nothing"
    site.pages["/a"] = links("/a/1")
    ingestor.run("site", connector, default_acl=("public",))
    assert f"{site.url}/a/2" not in catalog.document_ids("site")
    assert len(catalog.document_ids("site")) == 5
