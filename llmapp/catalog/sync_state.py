"""How far every sync has come: cursors, runs and quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.records import QuarantineRecord, RunRecord, RunStatus

if TYPE_CHECKING:
    from llmapp.connector import Cursor


class SyncState:
    """The part of the catalog that the ingestor keeps its place in."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def cursor(self, source: str) -> Cursor | None:
        """Where the next run of a source goes on; None before the first checkpoint."""
        rows = self._db.read("SELECT cursor FROM cursors WHERE source = :source", {"source": source})
        cursor: Cursor | None = json.loads(rows[0][0]) if rows else None
        return cursor

    def checkpoint(self, source: str, cursor: Cursor) -> None:
        """Store a cursor; everything above it must be committed."""
        with self._db.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO cursors VALUES (:source, :cursor, :now)",
                {"source": source, "cursor": json.dumps(cursor), "now": _now()},
            )

    def quarantine(self, record: QuarantineRecord) -> None:
        """Set a document aside with its reason; a repeat counts up the attempts."""
        with self._db.transaction() as connection:
            connection.execute(
                """
                INSERT INTO quarantine VALUES (:source, :id, :uri, :stage, :code, :reason, :revision, 1, :now)
                ON CONFLICT (source, document_id) DO UPDATE SET uri = excluded.uri, stage = excluded.stage, code = excluded.code,
                    reason = excluded.reason, revision = excluded.revision, attempts = attempts + 1, last_at = excluded.last_at
                """,
                {
                    "source": record.source,
                    "id": record.document_id,
                    "uri": record.uri,
                    "stage": record.stage,
                    "code": record.code,
                    "reason": record.reason,
                    "revision": record.revision,
                    "now": _now(),
                },
            )

    def quarantined(self, source: str | None = None) -> list[QuarantineRecord]:
        """Documents that are set aside, of one source or of all, by source and id."""
        rows = self._db.read(
            "SELECT * FROM quarantine WHERE :source IS NULL OR source = :source ORDER BY source, document_id",
            {"source": source},
        )
        return [QuarantineRecord(**dict(row)) for row in rows]

    def release(self, source: str, document_ids: Iterable[str]) -> None:
        """Forget that documents were set aside."""
        with self._db.transaction() as connection:
            connection.executemany(
                "DELETE FROM quarantine WHERE source = :source AND document_id = :id",
                [{"source": source, "id": document_id} for document_id in document_ids],
            )

    def start_run(self, source: str) -> int:
        """Note that a run begins.

        Returns:
            Number of the run.
        """
        with self._db.transaction() as connection:
            run = connection.execute(
                "INSERT INTO runs (source, started_at, status, counts) VALUES (:source, :now, 'running', '{}')",
                {"source": source, "now": _now()},
            ).lastrowid
            assert run is not None  # noqa: S101 - an INSERT has a row number
            return run

    def finish_run(self, run_id: int, *, status: RunStatus, counts: Mapping[str, int]) -> None:
        """Note how a run ended."""
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE runs SET ended_at = :now, status = :status, counts = :counts WHERE id = :id",
                {"now": _now(), "status": status, "counts": json.dumps(dict(counts)), "id": run_id},
            )

    def sources(self) -> list[str]:
        """Names of all sources that were ever synced, sorted."""
        return [row[0] for row in self._db.read("SELECT DISTINCT source FROM runs ORDER BY source")]

    def runs(self, limit: int = 10) -> list[RunRecord]:
        """The last runs, newest first; one that never ended still says ``running``."""
        rows = self._db.read(
            "SELECT id, source, started_at, ended_at, status, counts FROM runs ORDER BY id DESC LIMIT :limit",
            {"limit": limit},
        )
        return [RunRecord(**{**dict(row), "counts": json.loads(row["counts"])}) for row in rows]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
