"""The presets against servers on loopback that answer in the documented shapes of the vendors."""

import base64
import functools
import json
import ssl
import threading
import tomllib
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from llmapp.connector import ConnectorAuthError, ConnectorError, Delete, Failure, Listed, SourceUnavailableError
from llmapp.fetching import Fetcher
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.contracts import ConnectorContract
from llmapp.types import LOCAL_USER
from llmapp_connectors import rest
from llmapp_connectors.rest import Rest
from llmapp_connectors.rest.settings import Auth, Detail, Incremental, Item, Paging, Refusals, Request

PAGE = Path(__file__).resolve().parents[2] / "architecture" / "connectors" / "rest.md"
TOKEN = "canary-c2VjcmV0"
TLS = ssl.create_default_context()  # reading the authorities of this machine takes longer than a test
START_S = 1_700_000_000
BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, TOO_MANY = 400, 401, 404, 429


class Vendor:
    """What all four have in common: a server, an access check, and a limit of requests that is hit when a test says so."""

    authorization = f"Bearer {TOKEN}"
    settings: ClassVar = {"token": TOKEN}

    def __init__(self):
        self.requests = []
        self.limited = 0
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                vendor.requests.append((parts.path, dict(parse_qsl(parts.query))))
                status, headers, answered = vendor.guarded(*vendor.requests[-1], self.headers)
                content = json.dumps(answered).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json;charset=UTF-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def guarded(self, path, query, headers):
        if self.limited:
            self.limited -= 1
            return self.too_many()
        if headers["authorization"] != self.authorization:
            return self.unauthorized()
        return self.answer(path, query)

    def too_many(self):
        return TOO_MANY, {"Retry-After": "3"}, {"message": "Rate limit exceeded"}

    def unauthorized(self):
        return UNAUTHORIZED, {}, {"message": "Unauthorized"}

    def asked(self, suffix):
        return [query for path, query in self.requests if path.endswith(suffix)]

    def connector(self, **changes):
        given = {"preset": self.preset, "base_url": self.base_url, "allow_private": True, **self.settings, **changes}
        return Rest(**given)


def iso(number, style="%Y-%m-%dT%H:%M:%SZ"):
    """A time, one hour after the one before."""
    return datetime.fromtimestamp(START_S + number * 3600, UTC).strftime(style)


class Confluence(Vendor):
    """Version 2 of the API of Confluence Cloud, space 42."""

    preset = "confluence"
    settings: ClassVar = {"token": TOKEN, "auth": {"user": "me@acme.example"}, "variables": {"space_id": 42}}
    authorization = "Basic " + base64.b64encode(f"me@acme.example:{TOKEN}".encode()).decode()
    page_size = 2

    def __init__(self):
        super().__init__()
        self.base_url = f"{self.url}/wiki"
        self.pages = {}
        for number in range(1, 6):
            self.put(number, f"Page {number}", f"<p>Text {number}</p>")

    def put(self, number, title, body, *, at=None, status="current"):
        version = self.pages[number]["version"]["number"] + 1 if number in self.pages else 1
        self.pages[number] = {
            "id": str(number),
            "status": status,
            "title": title,
            "spaceId": "42",
            "parentId": "1",
            "parentType": "page",
            "authorId": "557058:a",
            "createdAt": iso(number, "%Y-%m-%dT%H:%M:%S.000Z"),
            "version": {
                "number": version,
                "message": "",
                "minorEdit": False,
                "authorId": "557058:a",
                "createdAt": iso(at or number, "%Y-%m-%dT%H:%M:%S.123Z"),
            },
            "body": body,
            "_links": {"webui": f"/spaces/ENG/pages/{number}/{quote(title)}", "tinyui": f"/x/{number}"},
        }

    edit = put

    def remove(self, number):
        self.pages[number]["status"] = "trashed"

    def answer(self, path, query):
        if path == "/wiki/api/v2/spaces/42/pages":
            return self.listing(query)
        page = self.pages.get(int(path.removeprefix("/wiki/api/v2/pages/")))
        if page is None:
            return NOT_FOUND, {}, {"errors": [{"status": NOT_FOUND, "code": "NOT_FOUND", "title": "Not Found"}]}
        shown = query["body-format"]
        return 200, {}, {**page, "body": {shown: {"representation": shown, "value": page["body"]}}}

    def listing(self, query):
        if query["sort"] != "-modified-date":
            return BAD_REQUEST, {}, {"errors": [{"status": BAD_REQUEST, "code": "INVALID_REQUEST_PARAMETER"}]}
        found = [{**page, "body": {}} for page in self.pages.values() if page["status"] in query["status"].split(",")]
        found.sort(key=lambda page: page["version"]["createdAt"], reverse=True)
        start = int(query.get("cursor", "0"))
        end = start + min(self.page_size, int(query["limit"]))
        links = {"base": self.base_url}
        if end < len(found):
            kept = "&".join(f"{name}={quote(value)}" for name, value in query.items() if name != "cursor")
            links["next"] = f"/wiki/api/v2/spaces/42/pages?{kept}&cursor={end}"
        return 200, {"Link": f'<{links.get("next", "")}>; rel="next"'}, {"results": found[start:end], "_links": links}


class Jira(Vendor):
    """Version 3 of the API of Jira Cloud, project SHOP."""

    preset = "jira"
    settings: ClassVar = {"token": TOKEN, "auth": {"user": "me@acme.example"}, "variables": {"project": "SHOP"}}
    authorization = Confluence.authorization
    page_size = 2

    def __init__(self):
        super().__init__()
        self.base_url = self.url
        self.issues, self.comments = {}, {}
        for number in range(1, 6):
            self.edit(number, f"Issue {number}", f"<p>Text {number}</p>")
        self.comments[2] = [f"<p>Comment {number} on 2</p>" for number in range(5)]

    def edit(self, number, title, body, *, at=None):
        self.issues[number] = {
            "expand": "renderedFields,names,schema",
            "id": str(10_000 + number),
            "self": f"{self.url}/rest/api/3/issue/{10_000 + number}",
            "key": f"SHOP-{number}",
            "fields": {
                "summary": title,
                "description": {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": []}]},
                "status": {"name": "Open", "id": "1"},
                "issuetype": {"name": "Bug", "id": "2"},
                "labels": ["till"],
                "created": iso(number, "%Y-%m-%dT%H:%M:%S.000+0000"),
                "updated": iso(at or number, "%Y-%m-%dT%H:%M:%S.000+0000"),
            },
            "renderedFields": {"summary": None, "description": body, "updated": "2 hours ago"},
        }

    def remove(self, number):
        del self.issues[number]

    def answer(self, path, query):
        if path == "/rest/api/3/search/jql":
            return self.search(query)
        number = int(path.removeprefix("/rest/api/3/issue/").removesuffix("/comment")) - 10_000
        if number not in self.issues:
            return NOT_FOUND, {}, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]}
        found, start = self.comments.get(number, []), int(query.get("startAt", 0))
        page = [
            {"id": str(place), "body": {"type": "doc"}, "renderedBody": text, "created": iso(number)}
            for place, text in enumerate(found[start : start + self.page_size], start)
        ]
        if query["expand"] != "renderedBody":
            page = [{name: value for name, value in one.items() if name != "renderedBody"} for one in page]
        return 200, {}, {"startAt": start, "maxResults": self.page_size, "total": len(found), "comments": page}

    def search(self, query):
        if query["jql"] != 'project = "SHOP" ORDER BY updated DESC' or query["expand"] != "renderedFields":
            return BAD_REQUEST, {}, {"errorMessages": ["Error in the JQL Query"], "errors": {}}
        fields = query["fields"].split(",")
        found = sorted(self.issues.values(), key=lambda issue: issue["fields"]["updated"], reverse=True)
        start = int(base64.b64decode(query.get("nextPageToken", "MA==")))
        end = start + min(self.page_size, int(query["maxResults"]))
        page = [
            {**issue, "fields": {name: value for name, value in issue["fields"].items() if name in fields}}
            for issue in found[start:end]
        ]
        more = {"nextPageToken": base64.b64encode(str(end).encode()).decode()} if end < len(found) else {}
        return 200, {}, {"issues": page, "isLast": not more, **more}  # no token at all on the last page


class GitHub(Vendor):
    """The REST API of GitHub, repository acme/shop."""

    preset = "github"
    settings: ClassVar = {"token": TOKEN, "variables": {"owner": "acme", "repo": "shop"}}
    page_size = 2

    def __init__(self):
        super().__init__()
        self.base_url = self.url
        self.issues, self.comments = {}, {}
        for number in range(1, 6):
            self.edit(number, f"Issue {number}", f"Text {number}")
        self.comments[2] = [f"Comment {number} on 2" for number in range(3)]
        self.edit(2, "Issue 2", "Text 2")
        self.edit(4, "Issue 4", None)
        self.edit(6, "A pull request", "no issue")
        self.issues[6]["pull_request"] = {"url": f"{self.url}/repos/acme/shop/pulls/6"}

    def edit(self, number, title, body, *, at=None):
        self.issues[number] = {
            "id": 900 + number,
            "node_id": f"I_{number}",
            "number": number,
            "html_url": f"https://github.com/acme/shop/issues/{number}",
            "title": title,
            "user": {"login": "anna", "id": 1},
            "labels": [{"id": 1, "name": "bug", "color": "f29513"}],
            "state": "open",
            "comments": len(self.comments.get(number, [])),
            "created_at": iso(number),
            "updated_at": iso(at or number),
            "closed_at": None,
            "body": body,
        }

    def remove(self, number):
        del self.issues[number]

    def unauthorized(self):
        return UNAUTHORIZED, {}, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}

    def answer(self, path, query):
        if path == "/repos/acme/shop/issues":
            if (query["state"], query["sort"], query["direction"]) != ("all", "updated", "desc"):
                return 422, {}, {"message": "Validation Failed"}
            found = [issue for issue in self.issues.values() if issue["updated_at"] >= query.get("since", "")]
            found.sort(key=lambda issue: issue["updated_at"], reverse=True)
        else:
            number = int(path.removeprefix("/repos/acme/shop/issues/").removesuffix("/comments"))
            texts = self.comments.get(number, [])
            found = [{"id": place, "user": {"login": "bert"}, "body": text} for place, text in enumerate(texts)]
        return self.paged(path, query, found)

    def paged(self, path, query, found):
        page = int(query.get("page", 1))
        end = page * self.page_size
        kept = "&".join(f"{name}={quote(value)}" for name, value in query.items() if name != "page")
        links = [f'<{self.url}{path}?{kept}&page={page - 1}>; rel="prev"'] if page > 1 else []
        links += [f'<{self.url}{path}?{kept}&page={page + 1}>; rel="next"'] if end < len(found) else []
        return 200, {"Link": ", ".join(links)} if links else {}, found[end - self.page_size : end]


class Slack(Vendor):
    """The Web API of Slack, channel C024BE91L."""

    preset = "slack"
    settings: ClassVar = {"token": TOKEN, "variables": {"workspace": "acme", "channel": "C024BE91L"}}
    page_size = 2

    def __init__(self):
        super().__init__()
        self.base_url = f"{self.url}/api"
        self.messages, self.replies = {}, {}
        for number in range(1, 6):
            self.edit(number, "", f"Text {number}")
        for number in range(3):
            self.reply(2, f"Reply {number} to 2")
        self.messages[7] = {**self.message(7, "joined"), "subtype": "channel_join"}
        self.messages[8] = {**self.message(8, "Reply 0 to 2"), "subtype": "thread_broadcast", "thread_ts": self.ts(2)}

    @staticmethod
    def ts(number, micros=100):
        return f"{START_S + number * 3600}.{micros:06}"

    def message(self, number, text):
        return {"type": "message", "user": "U123ABC", "text": text, "ts": self.ts(number)}

    def edit(self, number, title, body, *, at=None):
        self.messages[number] = self.message(number, body)
        if at:
            self.messages[number]["edited"] = {"user": "U123ABC", "ts": self.ts(at)}

    def reply(self, number, text):
        replies = self.replies.setdefault(number, [])
        ts = self.ts(number, 200 + len(replies))
        replies.append({**self.message(number, text), "ts": ts, "thread_ts": self.ts(number)})
        self.messages[number] |= {"thread_ts": self.ts(number), "reply_count": len(replies), "latest_reply": ts}

    def remove(self, number):
        if number in self.replies:
            self.messages[number] |= {"subtype": "tombstone", "text": "This message was deleted.", "hidden": True}
        else:
            del self.messages[number]

    def too_many(self):
        return TOO_MANY, {"Retry-After": "3"}, {"ok": False, "error": "ratelimited"}

    def unauthorized(self):
        return 200, {}, {"ok": False, "error": "invalid_auth"}

    def answer(self, path, query):
        if query["channel"] != "C024BE91L":
            return 200, {}, {"ok": False, "error": "channel_not_found"}
        if path == "/api/conversations.history":
            newer = [one for one in self.messages.values() if float(one["ts"]) > float(query.get("oldest", 0))]
            found = sorted(newer, key=lambda one: one["ts"], reverse=True)
        else:
            number = next((number for number in self.messages if self.ts(number) == query["ts"]), None)
            if number is None:
                return 200, {}, {"ok": False, "error": "thread_not_found"}
            found = [self.messages[number], *self.replies.get(number, [])]
        start = int(base64.b64decode(query.get("cursor", "MA==")))
        end = start + self.page_size
        following = base64.b64encode(str(end).encode()).decode() if end < len(found) else ""
        page = {"messages": found[start:end], "has_more": bool(following), "response_metadata": {"next_cursor": following}}
        return 200, {}, {"ok": True, **page}


VENDORS = [Confluence, Jira, GitHub, Slack]


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between attempts, in seconds; nobody sits through them."""
    waited = []
    monkeypatch.setattr(rest, "Fetcher", functools.partial(Fetcher, sleep=waited.append, tls=TLS))
    return waited


@pytest.fixture(params=VENDORS, ids=lambda kind: kind.preset)
def vendor(request):
    opened = request.param()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def parser():
    made = ProcessParser()
    yield made
    made.close()


@pytest.fixture
def ingestor(catalog, parser, embedder):
    return Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)


class TestPresetsKeepTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, vendor):
        return vendor.connector()


def name(vendor, number):
    """The id of the vendor's item of that number."""
    return {"jira": str(10_000 + number), "slack": Slack.ts(number)}.get(vendor.preset, str(number))


def read(vendor, cursor=None, **changes):
    return list(vendor.connector(**changes).read(cursor))


def listed(changes):
    return {change.id: change for change in changes if isinstance(change, Listed)}


def text(document):
    return document.text if document.text is not None else document.content().decode()


# ------------------------------------------------------------------------------------------------ all four


def test_every_document_is_read_once_through_all_pages(vendor):
    changes = read(vendor)
    assert sorted(listed(changes)) == sorted(name(vendor, number) for number in range(1, 6))
    assert not [change for change in changes if isinstance(change, Failure)]
    documents = {number: listed(changes)[name(vendor, number)].read() for number in (1, 2, 3, 5)}
    for number, document in documents.items():
        assert f"Text {number}" in text(document)
        assert document.uri.startswith(
            ("http://127.0.0.1", "https://github.com/acme/shop/issues/", "https://acme.slack.com/")
        )
        assert document.title
        assert document.metadata


def test_a_later_read_asks_for_less_and_reads_what_is_new(vendor):
    vendor.page_size = 4 if vendor.preset in {"slack", "github"} else 2
    first = read(vendor)
    all_requests = len(vendor.requests)
    vendor.edit(30, "Issue 30", "Text 30")
    later = read(vendor, first[-1].cursor, **({"incremental": {"overlap_s": 3600}} if vendor.preset == "slack" else {}))
    assert name(vendor, 30) in listed(later)
    assert name(vendor, 1) not in listed(later)
    assert len(vendor.requests) - all_requests <= all_requests
    assert later[-1].cursor["since_s"] == pytest.approx(START_S + 30 * 3600, abs=1)


def test_through_the_host_an_edit_costs_one_document_and_nothing_else_is_read_again(vendor, ingestor, catalog):
    def run():
        return ingestor.run("source", vendor.connector(), default_acl=("public",))

    first = run()
    assert (first.added, first.quarantined) == (5, 0)
    unchanged = run()
    assert (unchanged.added, unchanged.changed, unchanged.quarantined) == (0, 0, 0)
    read_before = len(vendor.requests)
    vendor.edit(5, "Größer & <b>better</b>", "The deductible is 900 €", at=20)
    edited = run()
    assert (edited.added, edited.changed, edited.quarantined) == (0, 1, 0)
    assert len(vendor.requests) - read_before <= 6
    held = catalog.text("source", name(vendor, 5), principal=LOCAL_USER)
    assert "The deductible is 900 €" in held
    assert "Größer & <b>better</b>" in held or vendor.preset == "slack"  # whose messages have no title


def test_what_has_gone_is_deleted_when_a_listing_is_due(vendor, ingestor, catalog):
    ingestor.run("source", vendor.connector(), default_acl=("public",))
    vendor.remove(1)
    ingestor.run("source", vendor.connector(relist_after_s=0), default_acl=("public",))
    assert catalog.document_ids("source") == {name(vendor, number) for number in range(2, 6)}


def test_a_wrong_token_is_said_and_not_shown(vendor):
    for token in ("canary-wrong", None):
        with pytest.raises(ConnectorAuthError) as caught:
            read(vendor, token=token)
        assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_no_secret_is_in_anything_that_is_yielded(vendor):
    changes = read(vendor)
    documents = [change.read() for change in listed(changes).values()]
    shown = f"{vendor.connector()!r} {changes!r} {documents!r} {[text(document) for document in documents]}"
    assert TOKEN not in shown
    assert vendor.authorization not in shown


def test_a_limit_of_requests_is_waited_for(vendor, waits):
    vendor.limited = 1
    assert len(listed(read(vendor))) == 5
    assert waits == [3]


def test_a_limit_that_lasts_says_when_to_come_back(vendor):
    vendor.limited = 99
    with pytest.raises(SourceUnavailableError) as caught:
        read(vendor)
    assert caught.value.retry_after_s == 3
    assert caught.value.retryable


def test_a_page_that_fails_in_the_middle_stops_the_run(vendor):
    whole, asked = vendor.answer, []

    def answer(path, query):
        asked.append(path)
        return (500, {}, {}) if len(asked) > 1 else whole(path, query)

    vendor.answer = answer
    with pytest.raises(SourceUnavailableError):
        read(vendor)


# ------------------------------------------------------------------------------------------------ one by one


@pytest.fixture
def confluence():
    yield from opened(Confluence)


@pytest.fixture
def jira():
    yield from opened(Jira)


@pytest.fixture
def github():
    yield from opened(GitHub)


@pytest.fixture
def slack():
    yield from opened(Slack)


def opened(kind):
    vendor = kind()
    yield vendor
    vendor.close()


def test_confluence_shows_what_is_trashed_or_archived(confluence):
    confluence.remove(5)
    confluence.pages[4]["status"] = "archived"
    changes = read(confluence)
    assert [change for change in changes if isinstance(change, Delete)] == [Delete("5"), Delete("4")]
    assert set(listed(changes)) == {"1", "2", "3"}


def test_a_page_of_confluence_comes_as_it_is_shown(confluence):
    document = listed(read(confluence))["3"].read()
    assert text(document) == "<h1>Page 3</h1><p>Text 3</p>"
    assert document.uri == f"{confluence.base_url}/spaces/ENG/pages/3/Page%203"
    assert confluence.asked("/pages/3") == [{"body-format": "view"}]
    assert document.metadata["version"] == 1


def test_a_page_of_confluence_whose_body_does_not_come_is_no_empty_page(confluence):
    found = listed(read(confluence, detail={"params": {"body-format": "none"}}))
    with pytest.raises(ConnectorError, match="does not fit"):
        found["3"].read()


def test_an_issue_of_jira_has_all_its_comments(jira):
    document = listed(read(jira))["10002"].read()
    assert [f"Comment {number} on 2" in text(document) for number in range(6)] == [True] * 5 + [False]
    assert (document.uri, document.title) == (f"{jira.url}/browse/SHOP-2", "SHOP-2 Issue 2")
    assert document.metadata["status"] == "Open"


def test_an_issue_of_jira_without_a_description_is_read(jira, ingestor):
    jira.edit(1, "List<String> & nothing else", None)
    assert "List&lt;String&gt; &amp; nothing else" in text(listed(read(jira))["10001"].read())
    assert ingestor.run("jira", jira.connector(), default_acl=("public",)).quarantined == 0


def test_jira_that_breaks_its_promise_of_a_page_stops_the_run(jira):
    whole = jira.answer

    def answer(path, query):
        status, headers, answered = whole(path, query)
        return status, headers, {name: value for name, value in answered.items() if name != "nextPageToken"}

    jira.answer = answer
    with pytest.raises(ConnectorError, match="promised more"):
        read(jira)


def test_pull_requests_are_no_issues(github):
    assert "6" not in listed(read(github))
    assert "6" in listed(read(github, item={"skip": "`false`"}))


def test_an_issue_of_github_has_all_its_comments_and_only_those_with_comments_are_asked_for(github):
    found = listed(read(github))
    assert found["2"].read().text == "Issue 2\n\nText 2\n\nComment 0 on 2\n\nComment 1 on 2\n\nComment 2 on 2"
    assert found["4"].read().text == "Issue 4"
    assert github.asked("/issues/4/comments") == []
    assert len(github.asked("/issues/2/comments")) == 2


def test_github_is_asked_for_what_has_changed_since(github):
    cursor = read(github)[-1].cursor
    read(github, cursor)
    assert github.asked("/issues")[-1]["since"] == datetime.fromtimestamp(cursor["since_s"] - 300, UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def test_a_thread_of_slack_is_one_document(slack):
    changes = read(slack)
    document = listed(changes)[Slack.ts(2)].read()
    assert document.text == "Text 2\n\nReply 0 to 2\n\nReply 1 to 2\n\nReply 2 to 2"
    assert document.uri == f"https://acme.slack.com/archives/C024BE91L/p{START_S + 7200}000100"
    assert listed(changes)[Slack.ts(1)].read().text == "Text 1"
    assert len(slack.asked("/conversations.replies")) == 2


def test_a_new_reply_changes_the_thread(slack):
    cursor = read(slack)[-1].cursor
    before = listed(read(slack))[Slack.ts(2)].revision
    slack.reply(2, "Reply 3 to 2")
    after = listed(read(slack, cursor))[Slack.ts(2)]
    assert after.revision != before
    assert after.read().text.endswith("Reply 3 to 2")


def test_a_deleted_message_of_slack_that_has_a_thread_is_gone(slack):
    cursor = read(slack)[-1].cursor
    slack.remove(2)
    assert Delete(Slack.ts(2)) in read(slack, cursor)


def test_a_message_of_slack_that_is_only_a_file_is_known_by_its_title(slack):
    slack.messages[1] |= {"text": "", "files": [{"id": "F1", "title": "Price list 2026"}]}
    slack.messages[3] |= {"attachments": [{"fallback": "Build 7 failed"}]}
    found = listed(read(slack))
    assert found[Slack.ts(1)].read().text == "Price list 2026"
    assert found[Slack.ts(3)].read().text == "Text 3\n\nBuild 7 failed"


def test_an_error_of_slack_stops_the_run_whatever_its_status(slack):
    with pytest.raises(ConnectorError, match="refused: channel_not_found"):
        read(slack, variables={"workspace": "acme", "channel": "C000"})
    slack.answer = lambda *_: (200, {}, {"ok": False, "error": "internal_error"})
    with pytest.raises(SourceUnavailableError, match="internal_error"):
        read(slack)


def test_slack_is_listed_as_a_whole_every_day(slack):
    assert slack.connector().relist_after_s == 86_400
    assert slack.connector(incremental=False).snapshot


# ------------------------------------------------------------------------------------------------ the page


def blocks():
    """Sources in the TOML blocks of the page."""
    parts = PAGE.read_text(encoding="utf-8").split("```")
    return [source for part in parts if part.startswith("toml\n") for source in tomllib.loads(part[5:])["sources"]]


def test_the_page_shows_every_preset_and_every_preset_is_shipped():
    folder = resources.files("llmapp_connectors.rest") / "presets"
    shipped = {file.name.removesuffix(".toml") for file in folder.iterdir()}
    assert shipped == {kind.preset for kind in VENDORS}
    assert shipped < {source["settings"].get("preset") for source in blocks()}


@pytest.mark.parametrize("source", blocks(), ids=lambda source: source["name"])
def test_every_source_of_the_page_can_be_made(source):
    assert source["connector"] == "rest"
    given = source["settings"]
    assert set(given.get("token", {"env"})) == {"env"}
    connector = Rest(**{**given, "token": TOKEN})
    assert connector.base_url.startswith("https://")


def test_every_setting_stands_on_the_page():
    models = [Rest, Auth, Paging, Request, Detail, Item, Incremental, Refusals]
    written = PAGE.read_text(encoding="utf-8")
    assert [field for model in models for field in model.model_fields if f"`{field}`" not in written] == []
