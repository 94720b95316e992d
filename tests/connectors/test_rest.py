import base64
import contextlib
import functools
import json
import ssl
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Failure,
    Listed,
    MissingDependencyError,
    SourceNotFoundError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import ConfigError
from llmapp.fetching import Fetcher
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors import rest
from llmapp_connectors.rest import Rest, expressions

TOKEN = "canary-Zm9yZ2V0LW1l"
DAY_S = 86_400
TLS = ssl.create_default_context()  # reading the authorities of this machine takes longer than a test


class Api:
    """An API on loopback: `answer(path, query, body)` gives a status, headers and an answer."""

    def __init__(self):
        self.items = [item(number) for number in range(1, 6)]
        self.requests = []
        self.answer = self.everything
        api = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self):
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                api.requests.append((self.command, parts.path, query, dict(self.headers), body))
                status, headers, answered = api.answer(parts.path, query, body)
                content = answered if isinstance(answered, bytes) else json.dumps(answered).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = respond  # noqa: N815 - the names that http.server calls

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def everything(self, path, query, body):
        if path.startswith("/items/"):
            return 200, {}, {"parts": [f"more of {path.removeprefix('/items/')}"]}
        return 200, {}, {"data": self.items}

    def asked(self, path="/items"):
        return [query for _, asked, query, _, _ in self.requests if asked == path]


def item(number, **changes):
    """Changed a thousand seconds after the one before."""
    at = datetime.fromtimestamp(1_700_000_000 + number * 1000, UTC).isoformat()
    return {"id": number, "url": f"https://shop.example/{number}", "text": f"text {number}", "at": at, **changes}


@pytest.fixture
def api():
    opened = Api()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between attempts, in seconds; nobody sits through them."""
    waited = []
    monkeypatch.setattr(rest, "Fetcher", functools.partial(Fetcher, sleep=waited.append, tls=TLS))
    return waited


def settings(api, **changes):
    given = {
        "base_url": api.url,
        "allow_private": True,
        "token": TOKEN,
        "listing": {"path": "/items", "items": "data"},
        "item": {"id": "id", "uri": "url", "text": "text", "time": "at"},
        "incremental": {"params": {"since": "{since}"}},
    }
    for name, value in changes.items():
        given[name] = {**given.get(name, {}), **value} if isinstance(value, dict) else value
    return given


def made(api, **changes):
    return Rest(**settings(api, **changes))


def read(api, cursor=None, **changes):
    return list(made(api, **changes).read(cursor))


def documents(changes):
    return {change.document.id: change.document for change in changes if isinstance(change, Upsert)}


def failures(changes):
    return {change.id: change.error for change in changes if isinstance(change, Failure)}


class TestRestKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, api):
        api.items.append(item(6, text=None))
        return made(api)


class TestRestWithDetailKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, api):
        return made(api, item={"text": "[text, detail]"}, detail={"path": "/items/{id}", "items": "parts"})


class TestRestWithoutIncrementsKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, api):
        return made(api, incremental=None)


# ------------------------------------------------------------------------------------------------ pages


def paged(api, kind, size=2):
    """Serves two items a page, in the way that `kind` says."""

    def answer(path, query, body):
        sent = {**query, **(body or {})}
        start = {
            "page": (int(sent.get("page", 1)) - 1) * size,
            "offset": int(sent.get("from", 0)),
            "token": int(str(sent.get("token", "t0"))[1:]),
        }.get(kind, int(sent.get("start", 0)))
        end, total = start + size, len(api.items)
        data = {"data": api.items[start:end], "total": total, "more": end < total}
        headers = {}
        if end < total:
            data |= {"token": f"t{end}", "next": f"/items?start={end}"}
            headers["Link"] = f'</items?start=0>; rel="first", <{api.url}/items?start={end}>; title="a, b"; rel="next"'
        return 200, headers, data

    api.answer = answer


PAGING = {
    "link": {"kind": "link"},
    "next": {"kind": "next", "at": "next"},
    "token": {"kind": "token", "at": "token", "param": "token", "more": "more"},
    "page": {"kind": "page", "param": "page"},
    "offset": {"kind": "offset", "param": "from", "at": "total"},
}


@pytest.mark.parametrize("kind", PAGING)
@pytest.mark.parametrize("body", [None, {"query": "all"}], ids=["get", "post"])
def test_every_kind_of_paging_reads_every_item_once(api, kind, body):
    paged(api, kind)
    listing = {"path": "/items", "items": "data", "paging": PAGING[kind], "params": {"size": 2}, "body": body}
    if kind in {"link", "next"} and body:
        pytest.skip("an address is asked with GET")
    changes = read(api, listing=listing)
    assert [change.document.id for change in changes[:-1]] == ["1", "2", "3", "4", "5"]
    assert {method for method, *_ in api.requests} == {"POST" if body else "GET"}
    if body:
        assert all(sent["query"] == "all" and sent["size"] == 2 for *_, sent in api.requests)


@pytest.mark.parametrize("kind", PAGING)
def test_the_end_is_asked_for_no_more_often_than_needed(api, kind):
    paged(api, kind)
    read(api, listing={"paging": PAGING[kind]})
    assert len(api.requests) == (4 if kind == "page" else 3)  # only an empty page tells that it was the last


@pytest.mark.parametrize(
    ("paging", "answered", "message"),
    [
        ({"kind": "next", "at": "next"}, {"data": [item(1)], "next": "/items?page=2"}, "same page again"),
        ({"kind": "token", "at": "next", "param": "c"}, {"data": [item(1)], "next": "again"}, "same page again"),
        ({"kind": "page", "param": "page"}, {"data": [item(1)]}, "same page again"),
        ({"kind": "offset", "param": "from"}, {"data": [item(1)]}, "same page again"),
        ({"kind": "token", "at": "next", "param": "c", "more": "more"}, {"data": [], "more": True}, "promised more"),
        ({"kind": "offset", "param": "from", "at": "total"}, {"data": [], "total": 9}, "promised more"),
        ({"kind": "link", "more": "more"}, {"data": [], "more": True}, "promised more"),
        ({"more": "more"}, {"data": [item(1)], "more": True}, "promised more"),
        ({"kind": "page", "param": "page", "at": "totl"}, {"data": [item(1)], "total": 1}, "promised more"),
    ],
)
def test_pages_that_lead_nowhere_stop_the_run(api, paging, answered, message):
    api.answer = lambda *_: (200, {}, answered)
    with pytest.raises(ConnectorError, match=message) as caught:
        read(api, listing={"paging": paging})
    assert caught.value.hint
    assert len(api.requests) <= 3


@pytest.mark.parametrize(
    ("header", "leads_on"),
    [
        ('</items?start=2>; rel="next"', True),
        ("</items?start=2>; rel=next", True),
        ('</items?a=b,c;d>; rel="prev", </items?start=2>;title="x, y"; REL="last next"', True),
        ('</items?start=2>; rel="prev"; title="next"', False),
        ("</items?start=2>; rel=prev; title=next", False),
        ('</items?start=2>; rel="next-archive"', False),
        ("</items?start=2>", False),
        ("<" * 30_000, False),
        ("", False),
    ],
)
def test_a_link_header_is_followed_where_it_says_next(api, header, leads_on):
    whole = api.answer
    api.answer = lambda path, query, body: whole(path, query, body) if query else (200, {"Link": header}, {"data": []})
    assert len(documents(read(api, listing={"paging": PAGING["link"]}))) == (5 if leads_on else 0)


def test_pages_without_items_are_passed_over_when_they_lead_on(api):
    def answer(path, query, body):
        number = int(query.get("c", 1))
        return 200, {}, {"data": [item(1)] if number == 4 else [], "next": number + 1 if number < 4 else None}

    api.answer = answer
    assert list(documents(read(api, listing={"paging": {"kind": "token", "at": "next", "param": "c"}}))) == ["1"]


def test_parameters_come_as_they_are_written(api):
    read(api, listing={"params": {"all": True, "size": 7, "q": "a&b=ü"}})
    assert api.asked() == [{"all": "true", "size": "7", "q": "a&b=ü"}]


def test_a_list_without_end_stops_the_run(api):
    api.answer = lambda path, query, body: (200, {}, {"data": [item(len(api.requests))], "next": len(api.requests)})
    with pytest.raises(ConnectorError, match="more than 7 pages"):
        read(api, listing={"paging": {"kind": "token", "at": "next", "param": "c", "max_pages": 7}})


@pytest.mark.parametrize(
    "answered",
    [
        b"",
        b"<html>log in</html>",
        b"[" * 100_000,
        b'{"data": ' + b"[" * 980 + b"]" * 980 + b"}x",
        {"dat": []},
        {"data": None},
        {"data": {"1": {}}},
        [],
        None,
        "data",
    ],
)
def test_an_answer_without_the_list_is_no_empty_list(api, answered):
    api.answer = lambda *_: (200, {}, answered)
    with pytest.raises(ConnectorError):
        read(api)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ConnectorAuthError), (403, ConnectorAuthError), (404, SourceNotFoundError), (500, SourceUnavailableError)],
)
def test_an_error_in_the_middle_of_the_pages_raises_and_gives_no_checkpoint(api, status, error):
    paged(api, "token")
    whole = api.answer
    api.answer = lambda path, query, body: (status, {}, {}) if query.get("token") == "t2" else whole(path, query, body)
    changes = made(api, listing={"paging": PAGING["token"]}).read(None)
    assert [type(next(changes)), type(next(changes))] == [Upsert, Upsert]
    with pytest.raises(error):
        next(changes)


def test_a_rate_limit_is_waited_for(api, waits):
    whole = api.answer
    api.answer = lambda *asked: (429, {"Retry-After": "7"}, {}) if len(api.requests) == 1 else whole(*asked)
    assert len(documents(read(api))) == 5
    assert waits == [7]


def test_a_rate_limit_that_calls_itself_forbidden_is_none_of_the_credentials(api):
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 600)}
    for headers, wait_s in (({"retry-after": "60"}, 60), (reset, 600)):
        api.answer = lambda *_, headers=headers: (403, headers, {"message": "API rate limit exceeded"})
        with pytest.raises(SourceUnavailableError) as caught:
            read(api)
        assert caught.value.retry_after_s == pytest.approx(wait_s, abs=5)


def test_a_refusal_in_an_answer_of_status_200_is_one(api):
    refusals = {"at": "ok != `true` && (error || 'unknown')", "auth": ["invalid_auth"], "unavailable": ["busy"]}
    for reason, error in (("invalid_auth", ConnectorAuthError), ("busy", SourceUnavailableError), ("other", ConnectorError)):
        api.answer = lambda *_, reason=reason: (200, {}, {"ok": False, "error": reason, "data": []})
        with pytest.raises(error, match=f"refused: {reason}"):
            read(api, refusals=refusals)
    api.answer = lambda *_: (200, {}, {"ok": False, "error": f"no such token {TOKEN}"})
    with pytest.raises(ConnectorError) as caught:
        read(api, refusals=refusals)
    assert TOKEN not in str(caught.value)


# ------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    ("auth", "where"),
    [
        ({"kind": "bearer"}, lambda query, headers: headers.get("authorization") == f"Bearer {TOKEN}"),
        (
            {"kind": "basic", "user": "me@shop.example"},
            lambda query, headers: (
                base64.b64decode(headers.get("authorization", "").removeprefix("Basic "))
                == f"me@shop.example:{TOKEN}".encode()
            ),
        ),
        ({"kind": "header", "name": "X-Api-Key"}, lambda query, headers: headers.get("x-api-key") == TOKEN),
        ({"kind": "query", "name": "key"}, lambda query, headers: query.get("key") == TOKEN),
    ],
)
def test_every_request_carries_the_token_and_nothing_shows_it(api, auth, where):
    paged(api, "next")
    pages = api.answer

    def answer(*asked):
        _, _, query, headers, _ = api.requests[-1]
        allowed = where(query, {name.lower(): value for name, value in headers.items()})
        return pages(*asked) if allowed else (401, {}, {"message": f"bad token {TOKEN}"})

    api.answer = answer
    paging = {"paging": PAGING["next"]}
    changes = read(api, auth=auth, listing=paging, token=f"{TOKEN}\n")
    assert len(documents(changes)) == 5
    shown = f"{made(api, auth=auth)!r} {made(api, auth=auth)} {changes!r}"
    with pytest.raises(ConnectorAuthError) as caught:
        read(api, auth=auth, listing=paging, token="canary-of-another")
    error = caught.value
    for secret in (TOKEN, "canary", base64.b64encode(TOKEN.encode()).decode()):
        assert secret not in f"{shown} {error} {error!r} {error.hint} {error.__cause__!r} {error.__context__!r}"


def test_a_token_that_no_header_takes_is_refused_without_showing_it(api):
    for token in (f"{TOKEN}\nX-Evil: 1", f"{TOKEN}é", f"{TOKEN}\0"):
        with pytest.raises(ConfigError, match="token") as caught:
            made(api, token=token)
        assert TOKEN not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_what_is_wrong_with_the_settings_is_said_without_the_token(api):
    with pytest.raises(ValueError, match="listing") as caught:
        Rest(**{**settings(api), "listing": 3, "token": [TOKEN]})
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("leads_to", ["{other}/items", "//{other_host}/items", "http://[", "https://127.0.0.1:99999/"])
def test_a_next_page_on_another_server_is_not_asked(api, leads_to):
    other = Api()
    try:
        leads_to = leads_to.format(other=other.url, other_host=other.url.removeprefix("http://"))
        api.answer = lambda *_: (200, {}, {"data": [item(1)], "next": leads_to})
        with pytest.raises(ConnectorError, match="another server"):
            read(api, listing={"paging": PAGING["next"]})
        assert other.requests == []
    finally:
        other.close()


def test_the_own_network_is_closed_unless_it_is_opened(api):
    with pytest.raises(ConnectorError, match="not fetched"):
        read(api, allow_private=False)
    assert api.requests == []


# ------------------------------------------------------------------------------------------------ documents


def test_a_document_has_all_that_the_settings_say(api):
    api.items = [item(1, name="Größe", tags=["a", "b"], readers=["anna", None], none=None)]
    shape = {
        "title": "name",
        "text": "[name, [text, none], `7`]",
        "media_type": "text/markdown",
        "metadata": {"tags": "tags", "first": "tags[0]", "none": "none"},
        "acl": "readers[?@ != null].join('', ['user:', @])",
    }
    document = documents(read(api, item=shape))["1"]
    assert (document.title, document.uri, document.media_type) == ("Größe", "https://shop.example/1", "text/markdown")
    assert document.text == "Größe\n\ntext 1\n\n7"
    assert document.metadata == {"tags": ["a", "b"], "first": "a"}
    assert document.acl == ("user:anna",)


def test_what_is_no_text_yet_is_left_to_a_parser(api):
    api.items = [item(1, text="<p>Größe</p>")]
    document = documents(read(api, item={"media_type": "text/html"}))["1"]
    assert (document.text, document.content(), document.media_type) == (None, "<p>Größe</p>".encode(), "text/html")


def test_a_document_without_readers_is_for_nobody(api):
    assert documents(read(api, item={"acl": "readers"}))["1"].acl == ()
    assert documents(read(api))["1"].acl is None


def test_other_readers_make_another_revision_where_details_are_read(api):
    api.items = [item(1, readers=["user:anna", "user:bert"])]
    shape = {"item": {"acl": "readers", "text": "[text, detail]"}, "detail": DETAIL}
    before = listed(read(api, **shape))["1"].revision
    api.items = [item(1, readers=["user:anna"])]
    assert listed(read(api, **shape))["1"].revision != before


@pytest.mark.parametrize("depth", [300, 900, 5_000])
def test_an_item_of_any_depth_is_read_or_refused(api, depth):
    deep = f'{{"data": [{{"id": 1, "url": "u", "at": 1, "text": "t", "deep": {"[" * depth}{"]" * depth}}}]}}'
    api.answer = lambda *_: (200, {}, deep.encode())
    with contextlib.suppress(ConnectorError):
        read(api, item={"metadata": {"deep": "deep"}, "text": "[text, deep]"})


def test_functions_escape_and_replace(api):
    api.items = [item(1, text="<b> & 'c'", dotted="1.2.3")]
    found = documents(read(api, item={"text": "join(' ', [escape(text), replace(dotted, '.', '')])"}))
    assert found["1"].text == "&lt;b&gt; &amp; &#x27;c&#x27; 123"


def test_items_that_say_so_are_left_out_or_deleted(api):
    api.items = [item(1), item(2, draft=True), item(3, state="gone")]
    changes = read(api, item={"skip": "draft", "deleted": "state == 'gone'"})
    assert list(documents(changes)) == ["1"]
    assert changes[1:-1] == [Delete("3")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": None}, "no text at 'id'"),
        ({"id": ""}, "no text at 'id'"),
        ({"id": True}, "no text at 'id'"),
        ({"id": ["9"]}, "no text at 'id'"),
        ({"url": None}, "no text at 'url'"),
        ({"at": None}, "no time stamp at 'at'"),
        ({"at": "yesterday"}, "no time stamp at 'at'"),
        ({"at": "nan"}, "no time stamp at 'at'"),
        ({"at": True}, "no time stamp at 'at'"),
        ({"text": None}, "no text in it"),
        ({"text": {"html": TOKEN}}, "something that is no text at 'text'"),
        ({"text": [[{}]]}, "something that is no text at 'text'"),
    ],
)
def test_an_item_that_does_not_fit_is_a_failure_and_the_rest_is_read(api, bad, reason):
    api.items = [item(1), {**item(9), **bad}, item(3)]
    changes = read(api)
    assert list(documents(changes)) == ["1", "3"]
    ((name, error),) = failures(changes).items()
    assert error == reason
    assert name.startswith("item without id") if "id" in bad else name == "9"
    assert changes[:-1] == read(api)[:-1]


def test_an_item_that_is_no_object_is_a_failure(api):
    api.items = ["text", None, item(1)]
    assert set(failures(read(api)).values()) == {"an item that is no object"}
    assert list(documents(read(api))) == ["1"]


def test_an_expression_that_does_not_fit_an_item_is_a_failure_that_shows_no_content(api):
    api.items = [item(1, text={"secret": TOKEN}), item(2)]
    changes = read(api, item={"text": "join('', [text,\n  'x'])"})
    assert failures(changes) == {"1": "\"join('', [text, 'x'])\" does not fit what the API answered"}


def test_lone_surrogates_do_not_get_through(api):
    api.answer = lambda *_: (
        200,
        {},
        json.dumps({"data": [item(1, id="a\ud800", text="b\udfff😀", url="c\ud800")]}).encode(),
    )
    (document,) = documents(read(api, item={"metadata": {"id": "id"}})).values()
    assert (document.id, document.text, document.uri, document.metadata) == ("a?", "b?😀", "c?", {"id": "a?"})


# ------------------------------------------------------------------------------------------------ detail


def listed(changes):
    return {change.id: change for change in changes if isinstance(change, Listed)}


DETAIL = {"path": "/items/{id}", "params": {"of": "{id}"}, "items": "parts"}


def test_a_detail_is_asked_only_when_the_host_reads_the_document(api):
    found = listed(read(api, item={"text": "[text, detail]"}, detail=DETAIL))
    assert len(api.requests) == 1
    assert found["2"].read().text == "text 2\n\nmore of 2"
    assert api.asked("/items/2") == [{"of": "2"}]


def test_a_detail_is_asked_only_where_there_is_more(api):
    api.items = [item(1, replies=0), item(2, replies=3)]
    detail = {**DETAIL, "when": "replies > `0`"}
    texts = [change.read().text for change in listed(read(api, item={"text": "[text, detail]"}, detail=detail)).values()]
    assert texts == ["text 1", "text 2\n\nmore of 2"]


def test_an_id_cannot_leave_its_place_in_the_address(api):
    hostile = ["../admin", "a?b=c", "a#b", "a/b", "{base_url}", "{token}", "%2e%2e/x", "ä b"]
    api.items = [item(1, id=name) for name in hostile]
    for name, change in listed(read(api, item={"text": "[text, detail]"}, detail=DETAIL)).items():
        change.read()
        _, path, query, _, _ = api.requests[-1]
        assert path.startswith("/items/")
        assert path.count("/") == 2
        assert query == {"of": name}


def test_a_detail_that_fails_sets_its_document_aside(api):
    whole = api.answer
    api.answer = lambda path, *rest: (404, {}, {}) if path == "/items/2" else whole(path, *rest)
    found = listed(read(api, item={"text": "[text, detail]"}, detail=DETAIL))
    with pytest.raises(SourceNotFoundError):
        found["2"].read()
    assert found["1"].read().text == "text 1\n\nmore of 1"


def test_the_pages_of_a_detail_are_all_read(api):
    def answer(path, query, body):
        if path == "/items":
            return 200, {}, {"data": [item(1)]}
        start = int(query.get("from", 0))
        return 200, {}, {"parts": [f"part {start}"], "total": 3}

    api.answer = answer
    detail = {**DETAIL, "paging": {"kind": "offset", "param": "from", "at": "total"}}
    assert listed(read(api, item={"text": "detail"}, detail=detail))["1"].read().text == "part 0\n\npart 1\n\npart 2"


def test_other_settings_make_another_revision(api):
    revisions = {
        documents(read(api))["1"].revision,
        documents(read(api, item={"text": "[text, url]"}))["1"].revision,
        documents(read(api, item={"revision": "text"}))["1"].revision,
    }
    assert len(revisions) == 3
    assert documents(read(api))["1"].revision in revisions
    assert documents(read(api, token="another"))["1"].revision in revisions


# ------------------------------------------------------------------------------------------------ cursors


def since(api):
    """Gives what has changed since the parameter, as most APIs do."""

    def answer(path, query, body):
        return 200, {}, {"data": [one for one in api.items if one["at"] >= query.get("since", "")]}

    api.answer = answer


def test_a_later_read_brings_only_what_has_changed(api):
    since(api)
    first = read(api)
    api.items[1] = item(2, text="edited", at="2023-11-15T20:00:00+00:00")
    later = read(api, first[-1].cursor)
    assert set(documents(later)) == {"5", "2"}  # 5 stands at the boundary, less the overlap
    assert documents(later)["2"].text == "edited"
    assert api.asked()[-1] == {"since": "2023-11-14T23:31:40Z"}
    assert later[-1].cursor["since_s"] > first[-1].cursor["since_s"]


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("iso", "2023-11-14T23:31:40Z"), ("epoch_s", "1700004700.000000"), ("epoch_ms", "1700004700000")],
)
def test_the_cursor_is_sent_as_the_api_wants_it(api, kind, sent):
    cursor = read(api)[-1].cursor
    read(api, cursor, incremental={"format": kind, "params": {"since": ">{since}"}})
    assert api.asked()[-1] == {"since": f">{sent}"}


@pytest.mark.parametrize(
    "at",
    ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+0100", "2023-11-14T22:13:20", 1_700_000_000, "1700000000.0", 1.7e12],
)
def test_a_time_stamp_is_read_in_every_common_form(api, at):
    api.items = [item(1, at=at)]
    assert read(api)[-1].cursor["since_s"] == 1_700_000_000


def test_the_cursor_is_the_greatest_time_stamp_whatever_the_order_and_never_goes_back(api):
    api.items = [item(3), item(5), item(1)]
    cursor = read(api)[-1].cursor
    assert cursor["since_s"] == 1_700_005_000
    api.items = [item(2)]
    assert read(api, cursor)[-1].cursor == cursor
    api.items = []
    assert read(api, cursor)[-1].cursor == cursor


def test_a_clock_of_the_future_does_not_carry_the_cursor_there(api):
    api.items.append(item(9, at="2999-01-01T00:00:00Z"))
    assert read(api)[-1].cursor["since_s"] <= time.time()


def test_a_list_with_the_newest_first_is_read_until_it_goes_back_behind_the_cursor(api):
    api.items = [item(number) for number in range(20, 0, -1)]
    paged(api, "offset")
    newest = {
        "listing": {"paging": PAGING["offset"]},
        "incremental": {"params": {}, "newest_first": True, "overlap_s": 0},
    }
    cursor = read(api, **newest)[-1].cursor
    assert len(api.requests) == 10
    api.items.insert(0, item(21))
    later = read(api, cursor, **newest)
    assert list(documents(later)) == ["21", "20", "19", "18"]
    assert len(api.requests) == 12
    assert later[-1].cursor["since_s"] == 1_700_021_000


def test_a_complete_listing_falls_due(api):
    cursor = read(api)[-1].cursor
    assert cursor["listed_s"] == pytest.approx(time.time(), abs=60)
    old = {**cursor, "listed_s": time.time() - 8 * DAY_S}
    with pytest.raises(CursorRejectedError):
        read(api, old)
    later = read(api, old, relist_after_s=30 * DAY_S)
    assert later[-1].cursor["listed_s"] == old["listed_s"]  # an incremental read is no complete listing


@pytest.mark.parametrize("cursor", ["2023", 7, [], {}, {"since_s": "x", "listed_s": 1}, {"listed_s": 9e15, "since_s": 1}])
def test_a_cursor_of_another_make_is_refused(api, cursor):
    with pytest.raises(CursorRejectedError):
        read(api, cursor)


def test_without_increments_every_run_lists_everything(api):
    since(api)
    assert not made(api).snapshot
    assert made(api, incremental=None).snapshot
    changes = read(api, cursor={"since_s": time.time(), "listed_s": time.time()}, incremental=None)
    assert changes[-1] == Checkpoint(None)
    assert set(documents(changes)) == {"1", "2", "3", "4", "5"}
    assert api.asked() == [{}]


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "confluense"}, "no preset 'confluense'"),
        ({"preset": "github"}, "the variable 'owner' is missing"),
        ({"preset": "../presets/github"}, "no preset"),
        ({"variables": {"site": "x' || `true"}}, "the variable 'site' is not valid"),
        ({"base_url": "https://{site}.example", "variables": {"site": "evil.example/"}}, "'site' is not valid"),
        ({"base_url": "ftp://shop.example"}, "base_url"),
        ({"base_url": "https://me:pw@shop.example"}, "base_url"),
        ({"base_url": "https://shop.example?key=1"}, "base_url"),
        ({"item": {"text": "text["}}, "'text\\[' is no JMESPath expression"),
        ({"item": {"text": ""}}, "'' is no JMESPath expression"),
        ({"item": {"time": None}}, "incremental needs item.time"),
        ({"auth": {"kind": "header"}}, "needs a name"),
        ({"listing": {"path": "/{nowhere}"}}, "the variable 'nowhere' is missing"),
    ],
)
def test_settings_that_cannot_work_are_refused(api, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        made(api, **changes)
    assert caught.value.hint


def test_a_detail_needs_a_revision(api):
    with pytest.raises(ConfigError, match="detail needs"):
        made(api, item={"time": None}, detail=DETAIL, incremental=None)


@pytest.mark.parametrize("part", ["listing", "item", "incremental", "auth"])
def test_a_misspelt_setting_is_refused(api, part):
    with pytest.raises(ValueError, match="extra_forbidden"):
        made(api, **{part: {"pth": "/x"}})


def test_variables_are_filled_in_everywhere_but_in_secrets(api):
    connector = made(
        api,
        token="a{site}b",
        variables={"site": "shop", "number": 7},
        listing={"path": "/{site}/{number}", "params": {"q": "{site}"}},
        item={"metadata": {"site": "'{site}'", "pair": "{a: id, b: text}"}},
    )
    assert connector.listing.path == "/shop/7"
    assert connector.listing.params == {"q": "shop"}
    assert connector.item.metadata == {"site": "'shop'", "pair": "{a: id, b: text}"}
    assert connector.token.get_secret_value() == "a{site}b"


def test_a_template_reaches_no_attribute(api):
    connector = made(api, listing={"path": "/{since.__class__}"})
    assert connector.listing.path == "/{since.__class__}"


def test_settings_stand_above_those_of_the_preset(api):
    connector = Rest(
        preset="github",
        variables={"owner": "o", "repo": "r"},
        listing={"params": {"state": "open"}},
        item={"title": "number"},
        relist_after_s=60,
    )
    assert connector.listing.params["state"] == "open"
    assert connector.listing.params["sort"] == "updated"
    assert (connector.item.title, connector.item.uri, connector.relist_after_s) == ("number", "html_url", 60)


def test_false_takes_a_part_of_the_preset_away(api):
    connector = Rest(preset="github", variables={"owner": "o", "repo": "r"}, detail=False, incremental=False)
    assert connector.detail is None
    assert connector.snapshot


def test_without_jmespath_the_extra_is_named(api, monkeypatch):
    expressions._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(MissingDependencyError, match="jmespath") as caught:
        made(api)
    assert "llmapp[rest]" in caught.value.hint


# ------------------------------------------------------------------------------------------------ through the host


@pytest.fixture(scope="module")
def parser():
    made = ProcessParser()
    yield made
    made.close()


@pytest.fixture
def ingestor(catalog, parser, embedder):
    return Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)


def run(ingestor, connector):
    return ingestor.run("shop", connector, default_acl=("public",))


def test_the_host_reads_the_details_of_changed_items_only(api, ingestor, catalog):
    since(api)
    whole = api.answer
    api.answer = lambda path, *rest: whole(path, *rest) if path == "/items" else api.everything(path, *rest)
    connector = made(api, item={"text": "[text, detail]"}, detail=DETAIL)
    assert run(ingestor, connector).added == 5
    assert len(api.requests) == 6
    api.items[1] = item(2, text="edited", at="2023-11-15T20:00:00+00:00")
    again = run(ingestor, connector)
    assert (again.added, again.changed) == (0, 1)
    assert [path for _, path, *_ in api.requests[6:]] == ["/items", "/items/2"]
    assert catalog.document_ids("shop") == {"1", "2", "3", "4", "5"}


def test_what_has_gone_is_deleted_when_everything_is_listed_again(api, ingestor, catalog):
    since(api)
    run(ingestor, made(api))
    del api.items[2]
    assert run(ingestor, made(api)).deleted == 0  # an increment cannot see it
    due = run(ingestor, made(api, relist_after_s=0))
    assert due.deleted == 1
    assert catalog.document_ids("shop") == {"1", "2", "4", "5"}


def test_without_increments_what_has_gone_is_deleted_in_the_next_run(api, ingestor, catalog):
    run(ingestor, made(api, incremental=None))
    del api.items[2]
    assert run(ingestor, made(api, incremental=None)).deleted == 1


def test_pages_that_break_off_delete_nothing_and_store_no_cursor(api, ingestor, catalog):
    run(ingestor, made(api, incremental=None))
    api.answer = lambda *_: (200, {}, {"message": "maintenance"})
    with pytest.raises(ConnectorError):
        run(ingestor, made(api, incremental=None))
    assert len(catalog.document_ids("shop")) == 5
