import contextlib
import datetime as dt
import email.utils
import gzip
import http.server
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
import time

import pytest

from llmapp.errors import (
    AddressRefusedError,
    ConnectorAuthError,
    ConnectorError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from llmapp.fetching import Fetched, Fetcher
from llmapp.fetching.gate import is_open


class Site:
    """A real server on loopback: a route is what to answer, or a function that answers for itself."""

    def __init__(self, server):
        self.server = server
        self.routes = {}
        self.seen = []
        self.origin = f"http://127.0.0.1:{server.server_port}"

    def paths(self):
        return [path for _, path, _ in self.seen]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        site = self.server.site
        length = int(self.headers.get("content-length") or 0)
        self.sent = self.rfile.read(length)
        site.seen.append((self.command, self.path, dict(self.headers.items())))
        route = site.routes.get(self.path.partition("?")[0], (404, {}, b"nothing"))
        if isinstance(route, list):
            route = route.pop(0) if len(route) > 1 else route[0]
        if callable(route):
            with contextlib.suppress(OSError):
                route(self)
            self.close_connection = True
            return
        status, headers, body = route
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = answer  # noqa: N815

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def running(tls=None):
    server = Server(("127.0.0.1", 0), Handler)
    server.site = Site(server)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
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


@pytest.fixture
def waits():
    return []


@pytest.fixture
def fetcher(waits):
    with Fetcher(allow_private=True, sleep=waits.append, timeout_s=5) as made:
        yield made


def ok(body=b"", **headers):
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, body


def to(target, status=302):
    return status, {"Location": target}, b""


# what an answer is


def test_an_answer_has_address_status_headers_body_and_type(site, fetcher):
    site.routes["/a"] = ok(b"hello", Content_Type="Text/HTML; charset=utf-8", ETag='"1"')
    fetched = fetcher.get(f"{site.origin}/a#part", params={"q": "x y", "page": 2})
    assert fetched.url == f"{site.origin}/a?q=x+y&page=2"
    assert (fetched.status, fetched.body, fetched.media_type) == (200, b"hello", "text/html")
    assert fetched.headers["etag"] == '"1"'
    assert fetched.checked() is fetched


def test_params_are_added_to_those_of_the_address(site, fetcher):
    site.routes["/a"] = ok()
    assert fetcher.get(f"{site.origin}/a?x=1", params={"y": 2}).url.endswith("/a?x=1&y=2")


def test_json_is_sent_and_read(site, fetcher):
    def echo(handler):
        body = json.dumps({"got": json.loads(handler.sent)}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.routes["/a"] = echo
    assert fetcher.request("post", f"{site.origin}/a", json={"x": [1, None]}).json() == {"got": {"x": [1, None]}}


@pytest.mark.parametrize("body", [b"<html>s3cret", b"\xff\xfe\x00", b"", b"[NaN]", b"[" * 100_000])
def test_what_is_no_json_is_an_error_that_does_not_repeat_it(body):
    fetched = Fetched("https://h.example/p?key=s3cret", 200, {}, body, "text/html")
    with pytest.raises(ConnectorError, match=r"https://h\.example/p answered text/html that is no JSON") as caught:
        fetched.json()
    assert caught.value.__cause__ is None
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, ConnectorError), (400, ConnectorError), (401, ConnectorAuthError), (403, ConnectorAuthError),
        (404, SourceNotFoundError), (410, SourceNotFoundError), (408, SourceUnavailableError),
        (425, SourceUnavailableError), (429, SourceUnavailableError), (500, SourceUnavailableError),
        (503, SourceUnavailableError),
    ],
)  # fmt: skip
def test_a_status_is_an_error_of_its_kind_without_the_query(status, error):
    fetched = Fetched("https://h.example/p?key=s3cret", status, {"retry-after": "7"}, b"", None)
    with pytest.raises(error) as caught:
        fetched.checked()
    assert type(caught.value) is error
    assert str(caught.value) == f"https://h.example/p answered {status}"
    if isinstance(caught.value, SourceUnavailableError):
        assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_good_status_is_handed_through(status):
    fetched = Fetched("https://h.example/", status, {}, b"", None)
    assert fetched.checked() is fetched


# where it goes


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.1.2.3", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:808:808::1", "100::1",
    ],
)  # fmt: skip
def test_an_address_inside_a_network_is_refused(address):
    assert not is_open(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_a_public_address_is_open(address):
    assert is_open(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "100.64.0.1", "::ffff:192.168.0.1"])
def test_private_addresses_are_open_when_it_is_said(address):
    assert is_open(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "240.0.0.1", "::ffff:169.254.169.254"]
)
def test_where_clouds_keep_credentials_is_never_open(address):
    assert not is_open(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_loopback_is_refused_however_it_is_written(site, host):
    with Fetcher() as fetcher, pytest.raises(AddressRefusedError) as caught:
        fetcher.get(f"http://{host}:{site.server.server_port}/")
    assert "allow_private" in caught.value.hint
    assert site.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://h.example/", "gopher://h.example/", "h.example/x", "//h.example/", "", "http://", "http:///x",
        "https://h.example:0/", "https://h.example:99999/", "http://0177.0.0.1/", "data:text/plain,x", "http://[::1/",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(fetcher, url):
    with pytest.raises(AddressRefusedError):
        fetcher.get(url)


def test_an_address_with_a_password_is_refused_and_not_repeated(fetcher):
    with pytest.raises(AddressRefusedError) as caught:
        fetcher.get("https://user:s3cret@h.example/p?key=s3cret")
    assert "s3cret" not in str(caught.value)
    assert "https://h.example/p" in str(caught.value)


def test_a_name_that_turns_to_loopback_is_connected_where_it_was_judged(site):
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    def resolve(host, port):
        asked.append((host, port))
        return next(answers)

    site.routes["/a"] = ok(b"x")
    url = f"http://rebind.example:{site.server.server_port}/a"
    with Fetcher(allow_private=True, resolve=resolve) as fetcher:
        assert fetcher.get(url).body == b"x"
        assert fetcher.get(url).body == b"x"  # over the same connection: it is not asked again
    assert asked == [("rebind.example", site.server.server_port)]
    assert site.seen[0][2]["Host"] == f"rebind.example:{site.server.server_port}"


def test_one_forbidden_address_refuses_the_name(site):
    with Fetcher(resolve=lambda *_: ["93.184.215.14", "127.0.0.1"]) as fetcher, pytest.raises(AddressRefusedError):
        fetcher.get(f"http://mixed.example:{site.server.server_port}/")
    assert site.seen == []


def test_the_next_address_is_tried_where_the_first_does_not_answer(site):
    site.routes["/a"] = ok(b"x")
    with Fetcher(allow_private=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"]) as fetcher:
        assert fetcher.get(f"http://two.example:{site.server.server_port}/a").body == b"x"


def test_proxies_of_the_environment_are_not_used(site, fetcher, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    site.routes["/a"] = ok(b"x")
    assert fetcher.get(f"{site.origin}/a").body == b"x"


def test_a_name_that_nobody_knows_is_an_outage_of_the_source(waits):
    def resolve(*_):
        raise socket.gaierror

    with Fetcher(resolve=resolve, sleep=waits.append) as fetcher, pytest.raises(SourceUnavailableError, match="reached"):
        fetcher.get("https://nowhere.example/p?key=s3cret")
    assert len(waits) == 2


# redirects


def test_redirects_are_followed_and_the_last_address_is_told(site, fetcher):
    site.routes |= {"/a": to("b/c?x=1#part", 301), "/b/c": to("../d", 308), "/d": ok(b"end")}
    fetched = fetcher.get(f"{site.origin}/a")
    assert (fetched.url, fetched.body) == (f"{site.origin}/d", b"end")


def test_a_redirect_without_end_is_an_error(site, fetcher):
    site.routes["/a"] = to("/a")
    with pytest.raises(ConnectorError, match="redirects more than 5 times"):
        fetcher.get(f"{site.origin}/a")
    assert len(site.seen) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret", "http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/secret",
        "http://2130706433:{port}/secret", "http://0177.0.0.1:{port}/secret", "http://0x7f.1:{port}/secret",
        "//127.0.0.1:{port}/secret", "file:///etc/passwd", "http://user:pass@h.example/",
    ],
)  # fmt: skip
def test_a_redirect_into_a_network_is_refused(site, target):
    """The first hop is let through as a public one would be; the second is judged as it is."""

    class Detour(Fetcher):
        def _send(self, request):
            if request.url.host == "public.example":
                return Fetched(str(request.url), 302, {"location": target.format(port=site.server.server_port)}, b"", None)
            return super()._send(request)

    with Detour() as fetcher, pytest.raises(AddressRefusedError):
        fetcher.get("http://public.example/")
    assert site.seen == []


def test_a_redirect_to_the_metadata_of_a_cloud_is_refused_even_where_private_is_allowed(site, fetcher):
    site.routes["/a"] = to("http://169.254.169.254/latest/meta-data/")
    with pytest.raises(AddressRefusedError):
        fetcher.get(f"{site.origin}/a")


SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "s=s3cret", "X-Api-Key": "s3cret", "PRIVATE-TOKEN": "s3cret"}


def test_no_credential_goes_to_another_origin(site, other):
    site.routes["/a"] = to(f"{other.origin}/b")
    other.routes["/b"] = to(f"{site.origin}/c")
    site.routes["/c"] = ok()
    with Fetcher(allow_private=True, headers=SECRETS) as fetcher:
        fetcher.get(f"{site.origin}/a", headers={"If-None-Match": '"1"', "X-Other": "s3cret"})
    assert "s3cret" in str(site.seen[0])
    assert "s3cret" not in str(other.seen)
    assert "s3cret" not in str(site.seen[1]), "nor back again: the other origin has chosen the way"
    assert {"if-none-match", "user-agent"} <= {name.lower() for name in other.seen[0][2]}


def test_credentials_stay_within_their_origin(site):
    site.routes |= {"/a": to("/b"), "/b": ok()}
    with Fetcher(allow_private=True, headers=SECRETS) as fetcher:
        fetcher.get(f"{site.origin}/a")
    assert str(site.seen[1]).count("s3cret") == 4


def test_a_cookie_that_a_server_sets_is_not_kept(site, fetcher):
    site.routes |= {"/a": (302, {"Location": "/b", "Set-Cookie": "s=1"}, b""), "/b": ok()}
    fetcher.get(f"{site.origin}/a")
    assert "Cookie" not in site.seen[1][2]


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirected_post_keeps_its_body_where_the_status_says_so(site, fetcher, status, method):
    sent = []

    def take(handler):
        sent.append((handler.command, handler.sent, handler.headers.get("Content-Type")))
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    site.routes |= {"/a": to("/b", status), "/b": take}
    fetcher.request("POST", f"{site.origin}/a", json=[1])
    assert sent == [(method, b"[1]", "application/json") if method == "POST" else (method, b"", None)]


def test_a_body_never_goes_to_another_origin(site, other, fetcher):
    site.routes["/a"] = to(f"{other.origin}/b", 307)
    with pytest.raises(ConnectorError, match="another site"):
        fetcher.request("POST", f"{site.origin}/a", json={"token": "s3cret"})
    assert other.seen == []


# limits


def test_a_body_over_the_limit_is_refused_before_it_is_read(site):
    site.routes["/a"] = ok(b"x" * 2000)
    with (
        Fetcher(allow_private=True, max_bytes=1999) as fetcher,
        pytest.raises(ConnectorError, match="more than 1,999 bytes"),
    ):
        fetcher.get(f"{site.origin}/a")
    with Fetcher(allow_private=True, max_bytes=2000) as fetcher:
        assert len(fetcher.get(f"{site.origin}/a").body) == 2000


def test_a_body_of_undeclared_length_is_cut_at_the_limit(site):
    written = []

    def pour(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"x" * 10_000)
            written.append(10_000)

    site.routes["/a"] = pour
    with Fetcher(allow_private=True, max_bytes=100_000) as fetcher, pytest.raises(ConnectorError, match="more than"):
        fetcher.get(f"{site.origin}/a")
    assert sum(written) < 50_000_000


def test_a_small_body_that_unpacks_to_gigabytes_costs_the_limit_at_most(site):
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)
    site.routes["/a"] = ok(bomb, Content_Encoding="gzip")
    with Fetcher(allow_private=True, max_bytes=3_000_000) as fetcher, pytest.raises(ConnectorError, match="more than"):
        fetcher.get(f"{site.origin}/a")


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_001])
def test_gzip_is_unpacked(site, fetcher, size):
    body = bytes(range(256)) * (size // 256) + b"\1" * (size % 256)
    site.routes["/a"] = ok(gzip.compress(body), Content_Encoding="GZIP")
    assert fetcher.get(f"{site.origin}/a").body == body


def test_gzip_of_several_members_is_unpacked_whole(site, fetcher):
    site.routes["/a"] = ok(gzip.compress(b"one ") + gzip.compress(b"two"), Content_Encoding="x-gzip")
    assert fetcher.get(f"{site.origin}/a").body == b"one two"


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"a long text" * 1000)[:-9], gzip.compress(b"x") + b"rubbish", b"not gzip", gzip.compress(b"x")[:5]],
    ids=["cut", "rubbish behind", "no gzip", "too short"],  # packed bytes hold the time: workers would collect other names
)
def test_broken_gzip_is_an_error_and_not_a_short_document(site, fetcher, body):
    site.routes["/a"] = ok(body, Content_Encoding="gzip")
    with pytest.raises(SourceUnavailableError, match="broke off"):
        fetcher.get(f"{site.origin}/a")


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "s3cret" * 100])
def test_a_coding_that_was_not_asked_for_is_refused(site, fetcher, coding):
    site.routes["/a"] = ok(b"x", Content_Encoding=coding)
    with pytest.raises(ConnectorError, match="not asked for"):
        fetcher.get(f"{site.origin}/a")


def test_a_head_has_no_body_whatever_it_announces(site, fetcher):
    site.routes["/a"] = ok(gzip.compress(b"x" * 100), Content_Encoding="gzip")
    assert fetcher.request("HEAD", f"{site.origin}/a").body == b""


def drip(head):
    def serve(handler):
        handler.wfile.write(head)
        for _ in range(1000):
            time.sleep(0.02)
            handler.wfile.write(b"x")

    return serve


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "],
    ids=["body", "headers"],
)
def test_a_server_that_drips_is_cut_off(site, head):
    site.routes["/a"] = drip(head)
    before = time.monotonic()
    with (
        Fetcher(allow_private=True, total_s=0.3, timeout_s=5, attempts=1) as fetcher,
        pytest.raises(SourceUnavailableError, match="in time"),
    ):
        fetcher.get(f"{site.origin}/a")
    assert time.monotonic() - before < 15  # it would drip for 20 s


def test_a_silent_server_is_given_up(site, waits):
    site.routes["/a"] = lambda _: time.sleep(0.5)
    with Fetcher(allow_private=True, timeout_s=0.1, attempts=2, sleep=waits.append) as fetcher:
        with pytest.raises(SourceUnavailableError, match="in time"):
            fetcher.get(f"{site.origin}/a")
        assert len(waits) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_an_answer_that_ends_early_is_an_error_and_not_a_short_document(site, fetcher, waits, answer):
    site.routes["/a"] = lambda handler: handler.wfile.write(answer)
    with pytest.raises(SourceUnavailableError, match="broke off"):
        fetcher.get(f"{site.origin}/a?key=s3cret")
    assert len(site.seen) == 3


# attempts


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_get_is_tried_again(site, fetcher, waits, status):
    site.routes["/a"] = [(status, {}, b""), (status, {}, b""), ok(b"x")]
    assert fetcher.get(f"{site.origin}/a").body == b"x"
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


def test_after_the_last_attempt_the_status_is_handed_over(site, fetcher):
    site.routes["/a"] = (500, {}, b"")
    assert fetcher.get(f"{site.origin}/a").status == 500
    assert len(site.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_definite_answer_is_not_asked_for_again(site, fetcher, status):
    site.routes["/a"] = (status, {}, b"")
    assert fetcher.get(f"{site.origin}/a").status == status
    assert len(site.seen) == 1


@pytest.mark.parametrize(("status", "times"), [(429, 3), (503, 3), (500, 1), (502, 1)])
def test_a_post_is_repeated_only_when_it_was_turned_away(site, fetcher, status, times):
    site.routes["/a"] = (status, {}, b"")
    assert fetcher.request("POST", f"{site.origin}/a", json={}).status == status
    assert len(site.seen) == times


def test_a_post_that_broke_off_is_not_repeated(site, fetcher):
    site.routes["/a"] = lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    with pytest.raises(SourceUnavailableError):
        fetcher.request("POST", f"{site.origin}/a", json={})
    assert len(site.seen) == 1


def test_a_server_that_says_when_is_believed(site, fetcher, waits):
    soon = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30), usegmt=True)
    site.routes["/a"] = [(429, {"Retry-After": "17"}, b""), (503, {"Retry-After": soon}, b""), ok()]
    fetcher.get(f"{site.origin}/a")
    assert waits[0] == 17
    assert 25 < waits[1] <= 30


@pytest.mark.parametrize(
    "value", ["soon", "-3", "Mon, 99 Foo 2020 00:00:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", "²", "1e9"]
)
def test_a_server_that_says_nonsense_is_asked_again_as_usual(site, fetcher, waits, value):
    site.routes["/a"] = [(503, {"Retry-After": value}, b""), ok(b"x")]
    assert fetcher.get(f"{site.origin}/a").body == b"x"
    assert waits[0] <= 0.5


@pytest.mark.parametrize("value", ["3600", "9" * 30])
def test_a_long_wait_is_left_to_the_caller(site, fetcher, waits, value):
    site.routes["/a"] = (429, {"Retry-After": value}, b"")
    with pytest.raises(SourceUnavailableError) as caught:
        fetcher.get(f"{site.origin}/a")
    assert caught.value.retry_after_s == float(value)
    assert waits == []


def test_nobody_listening_is_an_outage_of_the_source(fetcher, waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailableError, match=f"http://127.0.0.1:{port}/p cannot be reached"):
        fetcher.get(f"http://127.0.0.1:{port}/p?key=s3cret")
    assert len(waits) == 2


@pytest.mark.parametrize("value", ["s3cret\r\nX-More: 1", "s3cret\n", "s3crét", "s3cret\0"])
def test_a_credential_that_http_does_not_allow_is_not_repeated(site, fetcher, value):
    with pytest.raises(ConnectorError, match="header") as caught:
        fetcher.get(f"{site.origin}/a", headers={"Authorization": value})
    assert caught.value.__cause__ is None
    assert "s3cr" not in str(caught.value)
    assert site.seen == []


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for one name."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
    ]
    try:
        subprocess.run(
            [*command, "-subj", "/CN=safe.example", "-addext", "subjectAltName=DNS:safe.example"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl cannot make a certificate here")
    return folder


@pytest.fixture
def safe_site(certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    names = []
    tls.sni_callback = lambda _, name, __: names.append(name)
    with running(tls) as made:
        made.names = names
        yield made


def test_tls_checks_the_name_and_not_the_address(safe_site, certificate):
    port = safe_site.server.server_port
    safe_site.routes["/a"] = ok(b"x")
    tls = ssl.create_default_context(cafile=certificate / "cert.pem")
    with Fetcher(allow_private=True, tls=tls, resolve=lambda *_: ["127.0.0.1"]) as fetcher:
        assert fetcher.get(f"https://safe.example:{port}/a").body == b"x"
        assert safe_site.seen[0][2]["Host"] == f"safe.example:{port}"
        assert safe_site.names == ["safe.example"]
        with pytest.raises(ConnectorError, match="no valid certificate") as caught:
            fetcher.get(f"https://other.example:{port}/a")
    assert not isinstance(caught.value, SourceUnavailableError)


def test_an_unknown_certificate_is_refused_at_once(safe_site, waits):
    with (
        Fetcher(allow_private=True, resolve=lambda *_: ["127.0.0.1"], sleep=waits.append) as fetcher,
        pytest.raises(ConnectorError, match="no valid certificate"),
    ):
        fetcher.get(f"https://safe.example:{safe_site.server.server_port}/a")
    assert waits == []
