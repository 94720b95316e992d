"""A Chroma server, for several processes of one machine: the Rust one, ``chroma run --host 127.0.0.1 --port 8001``.

Only on this machine: Chroma's other server, in Python, runs foreign code before it has asked who is there (CVE-2026-45829), and
neither knows who may read what. Whoever reaches the port reads all ids and vectors.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from llmapp.errors import ConfigError, DimensionMismatchError, IndexUnavailableError
from llmapp.retrieval.indexes.chroma.collection import ChromaCollection
from llmapp.retrieval.indexes.chroma.watchdog import REBUILD, Watchdog

if TYPE_CHECKING:
    from chromadb.api.client import Client

    from llmapp.protocols import FloatArray

_T = TypeVar("_T")

_READ_DEADLINE_S = 15.0
_WRITE_DEADLINE_S = 180.0
_PROBE_S = 1.0


class ChromaServerIndex:
    """A collection of a Chroma server. Implements `llmapp.protocols.VectorIndex`; safe to use from several threads."""

    name = "chroma-server"
    """Name of the store."""
    is_shared = True
    """The server is the one process that opens the files."""

    def __init__(
        self,
        url: str,
        collection: str,
        *,
        read_deadline_s: float = _READ_DEADLINE_S,
        write_deadline_s: float = _WRITE_DEADLINE_S,
    ) -> None:
        """Name the server and the collection; nothing is imported or asked before the first use.

        Args:
            url: Address of the server, e.g. ``http://127.0.0.1:8001``; it must be on this machine.
            collection: Name of the collection, of this catalog alone; made by the first `upsert`.
            read_deadline_s: Seconds that opening or a search may take.
            write_deadline_s: Seconds that one batch of a write may take.

        Raises:
            ConfigError: The address is not ``http://HOST:PORT`` of this machine.
        """
        self._host, self._port = _own_address(url)
        self._name = collection
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._opening = threading.RLock()
        self._collection: ChromaCollection | None = None

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors; applying the same twice changes nothing. `vectors` has shape (len(ids), dim).

        Raises:
            DimensionMismatchError: The store holds vectors of another length; it is as it was.
            IndexUnavailableError: The server does not answer, or refuses.
        """

        def put(store: ChromaCollection) -> None:
            store.check_dim(vectors)
            store.upsert(ids, vectors)

        if ids:
            self._with_collection(put, may_create=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored.

        Raises:
            IndexUnavailableError: The server does not answer, or refuses.
        """
        if ids:
            self._with_collection(lambda store: store.delete(ids), may_create=True)

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first. `vector` has shape (dim,) and length 1.

        Raises:
            DimensionMismatchError: The store holds vectors of another length.
            IndexUnavailableError: The server does not answer, or the collection is missing.
        """
        return self._with_collection(lambda store: store.query(vector, top_k=top_k))

    def ids(self) -> set[str]:
        """All ids in the store; their vectors may still be gone, so a check reads them too.

        Raises:
            IndexUnavailableError: The server does not answer, or the collection is missing.
        """
        return self._with_collection(lambda store: store.ids())

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The stored vectors of those `ids` that are there, each of shape (dim,).

        Raises:
            IndexUnavailableError: The server does not answer, or the collection is missing.
        """
        return self._with_collection(lambda store: store.vectors(ids)) if ids else {}

    def mend(self) -> None:
        """Do nothing: the server ends a write that it has begun."""

    def settle(self) -> None:
        """Do nothing: Chroma indexes what it is given."""

    def fault(self) -> str | None:
        """Why the server cannot be reached; None when it takes connections."""
        try:
            socket.create_connection((self._host, self._port), timeout=_PROBE_S).close()
        except OSError as error:
            return f"the vector index at {self._host}:{self._port} cannot be reached: {error.strerror or error}"
        return None

    def clear(self) -> None:
        """Throw everything away.

        Raises:
            IndexUnavailableError: The server does not answer.
        """
        from chromadb.errors import NotFoundError

        self.close()
        try:
            Watchdog().run(self._write_deadline_s, self._delete_collection)
        except IndexUnavailableError as error:
            if not isinstance(error.__cause__, NotFoundError):
                raise

    def close(self) -> None:
        """Leave the server; the next use comes back."""
        with self._opening:
            collection, self._collection = self._collection, None
        if collection is not None:
            _hang_up(collection.client)

    def _with_collection(self, call: Callable[[ChromaCollection], _T], *, may_create: bool = False) -> _T:
        """Call; after a failure the next call starts from the beginning: another process may have made the collection anew."""
        with self._opening:
            if self._collection is None:
                self._collection = self._open(may_create=may_create)
            collection = self._collection
        try:
            return call(collection)
        except DimensionMismatchError:
            raise
        except IndexUnavailableError:
            self.close()
            raise

    def _open(self, *, may_create: bool) -> ChromaCollection:
        from chromadb.errors import NotFoundError

        watchdog = Watchdog()
        try:
            return watchdog.run(self._read_deadline_s, lambda: self._connect(watchdog, may_create=may_create))
        except IndexUnavailableError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise IndexUnavailableError("the vector index is missing", hint=REBUILD) from error
            raise

    def _connect(self, watchdog: Watchdog, *, may_create: bool) -> ChromaCollection:
        client = self._client()
        try:
            if may_create:
                collection = client.get_or_create_collection(
                    self._name, embedding_function=None, configuration={"hnsw": {"space": "ip"}}
                )
            else:
                collection = client.get_collection(self._name, embedding_function=None)
        except BaseException:
            _hang_up(client)
            raise
        return ChromaCollection(
            client, collection, watchdog, read_deadline_s=self._read_deadline_s, write_deadline_s=self._write_deadline_s
        )

    def _delete_collection(self) -> None:
        client = self._client()
        try:
            client.delete_collection(self._name)
        finally:
            _hang_up(client)

    def _client(self) -> Client:
        from chromadb.api.client import Client
        from chromadb.config import Settings

        # What `chromadb.HttpClient` makes, with its own type.
        return Client(
            settings=Settings(
                chroma_api_impl="chromadb.api.fastapi.FastAPI",
                chroma_server_host=self._host,
                chroma_server_http_port=self._port,
                anonymized_telemetry=False,
            )
        )


def _hang_up(client: Client) -> None:
    """Close a client and its connections, which Chroma 1.5.9 forgets: two sessions, for it has a second client inside."""
    inner: Any = client
    for session in (inner._server._session, inner._admin_client._server._session):  # noqa: SLF001 - there is no other way
        session.close()
    client.close()


def _own_address(url: str) -> tuple[str, int]:
    """Host and port of an address on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    hint = "name it as http://127.0.0.1:8001, where `chroma run --host 127.0.0.1 --port 8001` listens"
    if not host or port is None or parts.scheme != "http" or parts.username is not None:
        raise ConfigError("the address of the Chroma server is not http://HOST:PORT", hint=hint)
    if not _is_loopback(host):
        raise ConfigError(f"{host} is not this machine: a Chroma server asks nobody who they are", hint=hint)
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
