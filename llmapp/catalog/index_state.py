"""What the catalog knows of its vector index: which store serves, what it has not applied yet, and what other stores hold."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from llmapp.catalog import meta
from llmapp.catalog.database import Database
from llmapp.catalog.records import PendingWork

OtherStore: TypeAlias = Literal["begun", "kept", "retired"]
"""Why a store that does not serve holds vectors: a move to it has begun, it served and is kept, or it is to be emptied."""

_ALL = 2**63 - 1
"""A limit that no table reaches."""
_IDENTITY_BYTES = 8


class IndexState:
    """The part of the catalog that the vector index is kept by."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def identity(self) -> str:
        """A random name of this catalog, made once: 16 hexadecimal digits. A copy of the catalog has the same."""
        return self._meta("identity") or self._first("identity", secrets.token_hex(_IDENTITY_BYTES))

    def serving_store(self) -> str:
        """Name of the store that serves; empty before the first work was applied."""
        return self.serving()[0]

    def serving(self) -> tuple[str, int]:
        """Name of the store that serves, and how often another one has come to serve: one that served before may be another by now."""
        found = dict(map(tuple, self._db.read("SELECT key, value FROM meta WHERE key IN ('index_store', 'index_swaps')")))
        return found.get("index_store", ""), int(found.get("index_swaps", 0))

    def bind_store(self, name: str) -> None:
        """Note that this store serves, unless another one does."""
        if not self.serving_store():
            self._first("index_store", name)

    def pending(self, limit: int | None = None, *, store: str | None = None) -> list[PendingWork]:
        """Work that the vector index has not applied yet, oldest first.

        Args:
            limit: At most so much; None is all.
            store: Of this store only: there is none when another one serves by now. None is whichever serves.
        """
        found = self._db.read(
            """
            SELECT seq, chunk_id, action FROM pending
            WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'index_store' AND :store <> '' AND value <> :store)
            ORDER BY seq LIMIT :limit
            """,
            {"limit": _ALL if limit is None else limit, "store": store or ""},
        )
        return [PendingWork(*row) for row in found]

    def mark_applied(self, work: Sequence[PendingWork]) -> None:
        """Forget exactly this work; what came for the same chunks meanwhile stays."""
        with self._db.transaction() as connection:
            connection.executemany("DELETE FROM pending WHERE seq = :seq", [{"seq": item.seq} for item in work])

    def mark_all_pending(self, *, store: str | None = None) -> int:
        """Make every live chunk pending again, for an index that starts empty.

        Args:
            store: Of this store only: nothing changes when another one serves by now. None is whichever serves.

        Returns:
            Number of chunks.
        """
        with self._db.transaction() as connection:
            if store is not None and self.serving_store() not in {"", store}:
                return 0
            connection.execute("DELETE FROM pending")
            connection.execute(
                "INSERT INTO pending (chunk_id, action) SELECT chunk_id, 'upsert' FROM chunks ORDER BY chunk_id"
            )
            count: int = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
            return count

    def serve_from(self, store: str, *, held: Collection[str], former: str, keep_former: bool) -> int:
        """Let another store serve from now on, in one transaction with the work that it lacks: nothing falls in between.

        Args:
            store: Name of the store.
            held: Ids of all vectors in it.
            former: Name of the store that served.
            keep_former: Whether that one keeps its vectors; else it is to be emptied.

        Returns:
            Number of chunks that are pending for it.
        """
        with self._db.transaction() as connection:
            live = {row[0] for row in connection.execute("SELECT chunk_id FROM chunks").fetchall()}
            work = [(name, "upsert") for name in sorted(live - set(held))]
            work += [(name, "delete") for name in sorted(set(held) - live)]
            connection.execute("DELETE FROM pending")
            if work:
                connection.executemany(
                    "INSERT INTO pending (chunk_id, action) VALUES (:id, :action)",
                    [{"id": name, "action": action} for name, action in work],
                )
            meta.put(connection, "index_store", store)
            meta.put(connection, "index_swaps", str(self.serving()[1] + 1))
            others = self.other_stores() | {former: "kept" if keep_former else "retired"}
            meta.put(connection, "other_stores", json.dumps({name: why for name, why in others.items() if name != store}))
            return len(work)

    def other_stores(self) -> dict[str, OtherStore]:
        """Stores that hold vectors and do not serve, and why, by name."""
        found: dict[str, OtherStore] = json.loads(self._meta("other_stores") or "{}")
        return found

    def note_other_store(self, name: str, why: OtherStore | None) -> None:
        """Note that a store holds vectors and does not serve; None forgets it, for it is empty."""
        with self._db.transaction() as connection:
            others = {other: reason for other, reason in self.other_stores().items() if other != name}
            meta.put(connection, "other_stores", json.dumps(others | ({name: why} if why else {})))

    def _meta(self, key: str) -> str:
        """A value of the table `meta`; empty when it has none."""
        found = self._db.read("SELECT value FROM meta WHERE key = :key", {"key": key})
        return str(found[0][0]) if found else ""

    def _first(self, key: str, value: str) -> str:
        """Note a value where there is none; the one that stands then, which may be that of a faster process."""
        with self._db.transaction() as connection:
            connection.execute(
                "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING",
                {"key": key, "value": value},
            )
        return self._meta(key)
