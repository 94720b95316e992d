"""The client: attempts, redirects, and what of a request and of a body is let through."""

from __future__ import annotations

import contextlib
import functools
import random
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

import httpcore2
import httpx2
from pydantic import JsonValue

from llmapp.errors import AddressRefusedError, ConnectorError, SourceUnavailableError
from llmapp.fetching.answer import Fetched, is_transient, retry_after_s, shown
from llmapp.fetching.gate import Gate, Resolve, addresses_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_IDEMPOTENT = frozenset({"GET", "HEAD"})
_TURNED_AWAY = frozenset({429, 503})  # the request was not acted on
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "if-modified-since", "if-none-match", "user-agent"})
"""Headers that another origin may see. Any other may be a credential, whatever its name."""
_LONGEST_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_BLOCK_BYTES = 1 << 20
_BAD_HEADER = "{} cannot be asked: a header holds what HTTP does not allow"


class Fetcher:
    """A client with its own connections; one request at a time. Closed by `close`, or at the end of a ``with``."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        total_s: float = 120.0,
        max_bytes: int = 50_000_000,
        attempts: int = 3,
        max_redirects: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            allow_private: Whether private and loopback addresses are fetched, for sources of an intranet.
            headers: Sent with every request, to the origin that it names.
            timeout_s: Longest silence of a server. Seconds.
            total_s: Longest time of one attempt, redirects included. Seconds.
            max_bytes: Largest body, decompressed. Bytes.
            attempts: How often a request is made: a GET or HEAD that met no answer, a 429 or a 5xx, and any other
                request that was turned away with 429 or 503. From 1.
            max_redirects: Redirects that are followed.
            sleep: Waits between attempts.
            resolve: Resolves names; None asks the system.
            tls: Trust for certificates; None takes the system's.
        """
        self._headers = {"user-agent": "llmapp", "accept": "*/*", **_lower(headers), "accept-encoding": "gzip"}
        self._total_s = total_s
        self._max_bytes = max_bytes
        self._attempts = attempts
        self._max_redirects = max_redirects
        self._sleep = sleep
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
        self._gate = Gate(resolve or addresses_of, allow_private=allow_private)
        self._pool = httpcore2.ConnectionPool(ssl_context=tls or _system_trust(), network_backend=self._gate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str | int] | None = None
    ) -> Fetched:
        """`request` with GET."""
        return self.request("GET", url, headers=headers, params=params)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
        json: JsonValue = None,
    ) -> Fetched:
        """Ask a server, again where that may help, and follow its redirects.

        Args:
            method: HTTP method.
            url: ``http`` or ``https``, without user and password.
            headers: Sent besides those of the client, and instead of those of the same name.
            params: Added to the query of `url`.
            json: The body; None sends none.

        Returns:
            The last answer, of any status: `Fetched.checked` judges it.

        Raises:
            AddressRefusedError: An address may not be fetched.
            SourceUnavailableError: No complete answer in any attempt, or one that asks for a long wait.
            ConnectorError: The answer cannot be taken: too large, too many redirects, no valid certificate.
        """
        address = _url(url)
        target = address.copy_merge_params(params) if params else address
        try:
            request = httpx2.Request(method.upper(), target, headers={**self._headers, **_lower(headers)}, json=json)
        except UnicodeError:  # its text may hold a credential
            raise ConnectorError(_BAD_HEADER.format(shown(address)), hint="check the credentials") from None
        for wait_s in _waits(self._attempts - 1):
            asked_s = 0.0
            try:
                fetched = self._follow(request)
            except SourceUnavailableError:
                if request.method not in _IDEMPOTENT:
                    raise
            else:
                if not _is_worth_another(request.method, fetched.status):
                    return fetched
                asked_s = _asked_wait_s(fetched)
            self._sleep(max(wait_s, asked_s))
        return self._follow(request)

    def _follow(self, request: httpx2.Request) -> Fetched:
        self._gate.deadline_s = time.monotonic() + self._total_s
        first = request.url
        for _ in range(self._max_redirects + 1):
            with _named_errors(request.url):
                fetched = self._send(request)
            target = fetched.headers.get("location")
            if fetched.status not in _REDIRECTS or not target:
                return fetched
            request = _redirected(request, fetched.status, _url(target, request.url))
        raise ConnectorError(f"{shown(first)} redirects more than {self._max_redirects} times")

    def _send(self, request: httpx2.Request) -> Fetched:
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with self._pool.stream(
            request.method,
            target,
            headers=request.headers.raw,
            content=request.content,
            extensions={"timeout": self._timeouts},
        ) as answer:
            headers = httpx2.Headers(answer.headers)
            body = b"" if request.method == "HEAD" else _body(answer.iter_stream(), headers, url, self._max_bytes)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        return Fetched(str(url), answer.status, dict(headers), body, media_type or None)


def _url(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """The address without its fragment, when it is one that is fetched; a relative one is taken from `base`."""
    try:
        parsed = (base.join(url) if base else httpx2.URL(url)).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError):
        raise AddressRefusedError("this is no address that can be fetched", hint="it reads https://host/path") from None
    if (
        parsed.scheme not in {"http", "https"}
        or not parsed.host
        or not 0 < (80 if parsed.port is None else parsed.port) < 1 << 16
    ):
        raise AddressRefusedError(f"{shown(parsed)} is not fetched", hint="an address begins with https:// or http://")
    if parsed.userinfo:
        raise AddressRefusedError(
            f"{shown(parsed)} carries a user name or password", hint="use the settings of the source for credentials"
        )
    return parsed


def _redirected(request: httpx2.Request, status: int, url: httpx2.URL) -> httpx2.Request:
    """The request that a redirect asks for. To another origin it takes no credentials, and no body."""
    is_home = _origin(url) == _origin(request.url)
    keeps_body = status in _KEEP_METHOD or request.method in _IDEMPOTENT
    if keeps_body and request.content and not is_home:
        raise ConnectorError(f"{shown(request.url)} redirects a {request.method} to another site")
    headers = {
        name: value
        for name, value in request.headers.items()
        if (is_home and name != "host" and (keeps_body or not name.startswith("content-"))) or name in _HARMLESS
    }
    method = request.method if keeps_body else "GET"
    return httpx2.Request(method, url, headers=headers, content=request.content if keeps_body else None)


@functools.cache
def _system_trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)  # reads hundreds of certificates


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


@contextlib.contextmanager
def _named_errors(url: httpx2.URL) -> Iterator[None]:
    """Errors of the network, as the family of `ConnectorError` and with the address."""
    later = "try again later"
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise SourceUnavailableError(f"{shown(url)} did not answer in time", hint=later) from error
    except httpcore2.ConnectError as error:
        reason = error.args[0] if error.args else None
        if isinstance(reason, ssl.SSLCertVerificationError):
            said = f"{shown(url)} has no valid certificate: {reason.verify_message}"
            raise ConnectorError(said, hint="check the address, or trust its authority on this machine") from error
        raise SourceUnavailableError(f"{shown(url)} cannot be reached", hint=later) from error
    except (httpcore2.NetworkError, httpcore2.RemoteProtocolError, zlib.error) as error:
        raise SourceUnavailableError(f"{shown(url)} broke off its answer", hint=later) from error
    except httpcore2.LocalProtocolError:  # its text may hold a credential
        raise ConnectorError(_BAD_HEADER.format(shown(url)), hint="check the credentials") from None


def _body(parts: Iterable[bytes], headers: httpx2.Headers, url: httpx2.URL, max_bytes: int) -> bytes:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip"}:
        raise ConnectorError(f"{shown(url)} answered in the coding {coding[:40]!r}, which was not asked for")
    declared = headers.get("content-length", "")
    body = bytearray()
    for part in parts if coding == "identity" else _inflated(parts):
        body += part
        if len(body) > max_bytes or (declared.isdecimal() and int(declared) > max_bytes):
            raise ConnectorError(
                f"{shown(url)} has more than {max_bytes:,} bytes", hint="raise max_bytes of the source, or leave it out"
            )
    return bytes(body)


def _inflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Gzip, member by member and a block at a time: a small part may hold gigabytes."""
    inflater, is_begun = _inflater(), False
    for part in parts:
        rest, is_begun = part, True
        while True:
            block = inflater.decompress(rest, _BLOCK_BYTES)
            yield block
            rest = inflater.unconsumed_tail
            if inflater.unused_data:
                inflater, rest = _inflater(), inflater.unused_data
            elif not block and not rest:
                break
    if is_begun and not inflater.eof:
        raise zlib.error("ends early")


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)


def _is_worth_another(method: str, status: int) -> bool:
    return status in _TURNED_AWAY or (method in _IDEMPOTENT and is_transient(status))


def _asked_wait_s(fetched: Fetched) -> float:
    """Seconds that the server asks to wait; a wait that is too long for this call is left to the caller, as an error."""
    asked_s = retry_after_s(fetched.headers) or 0.0
    if asked_s > _LONGEST_WAIT_S:
        fetched.checked()
    return asked_s


def _waits(count: int) -> Iterator[float]:
    """Seconds between attempts: doubling, and scattered so that clients do not come back together."""
    for number in range(count):
        yield _FIRST_WAIT_S * 2**number * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret
