"""The way out: which addresses may be connected to, and how long a socket may take.

Knows names, addresses and sockets, and nothing of HTTP.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence

import httpcore2

from llmapp.errors import AddressRefusedError

Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host name, best first; raises `OSError` when there are none."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_HINT = "a source inside your own network says allow_private = true; link-local and multicast addresses stay closed"


class Gate(httpcore2.NetworkBackend):
    """Connects to addresses that it has judged itself, and gives every socket the time that is left."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        """Open nothing yet; `llmapp.fetching.Fetcher` says what the arguments are."""
        self.deadline_s = math.inf  # by the monotonic clock
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of `host` that answers; refuse when one of them is forbidden."""
        failure: Exception = httpcore2.ConnectError()
        for address in self._judged(host, port):
            try:
                stream = self._network.connect_tcp(address, port, self.left_s(timeout), local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self.left_s)
        raise failure

    def left_s(self, timeout_s: float | None) -> float:
        """Seconds that an operation may take; raises when the time is over."""
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout
        return left_s if timeout_s is None else min(timeout_s, left_s)

    def _judged(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError, OverflowError) as error:
            raise httpcore2.ConnectError from error
        if not all(is_open(ipaddress.ip_address(address), allow_private=self._allow_private) for address in addresses):
            raise AddressRefusedError(f"{host} leads to an address that is not fetched", hint=_HINT)
        return addresses


class _Timed(httpcore2.NetworkStream):
    """A stream whose every operation ends with the attempt that it belongs to."""

    def __init__(self, stream: httpcore2.NetworkStream, left_s: Callable[[float | None], float]) -> None:
        self._stream = stream
        self._left_s = left_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._left_s(timeout)), self._left_s)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system resolves it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_open(address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, allow_private: bool) -> bool:
    """Whether an address may be fetched; one that embeds an IPv4 address is as open as that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_open(inner, allow_private=allow_private)
    is_never = address.is_multicast or address.is_link_local or address.is_unspecified
    if is_never or (isinstance(address, ipaddress.IPv4Address) and address.is_reserved):
        return False
    return allow_private or (
        address.is_global and (isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST)
    )
