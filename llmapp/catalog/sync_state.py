"""How far every sync has come: cursors, runs and quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.records import ALL_SOURCES, QuarantineRecord, RunRecord, RunStatus

if TYPE_CHECKING:
    from llmapp.connector import Cursor

_RUN = "id, source, started_at, ended_at, status, counts, seconds, embedder, cost_nano_usd, error"


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
                """
                INSERT INTO cursors VALUES (:source, :cursor, :now)
                ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, stored_at = excluded.stored_at
                """,
                {"source": source, "cursor": json.dumps(cursor), "now": _now()},
            )

    def quarantine(self, record: QuarantineRecord) -> None:
        """Set a document aside with its reason; its attempts are those of the record."""
        with self._db.transaction() as connection:
            connection.execute(
                """
                INSERT INTO quarantine (source, document_id, uri, stage, code, reason, revision, attempts, last_at, retry,
                                        next_try_at, is_dropped)
                VALUES (:source, :id, :uri, :stage, :code, :reason, :revision, :attempts, :now, :retry, :next_try_at, FALSE)
                ON CONFLICT (source, document_id) DO UPDATE SET
                    uri = excluded.uri, stage = excluded.stage, code = excluded.code, reason = excluded.reason,
                    revision = excluded.revision, attempts = excluded.attempts, last_at = excluded.last_at,
                    retry = excluded.retry, next_try_at = excluded.next_try_at, is_dropped = FALSE
                """,
                {
                    "source": record.source,
                    "id": record.document_id,
                    "uri": record.uri,
                    "stage": record.stage,
                    "code": record.code,
                    "reason": record.reason,
                    "revision": record.revision,
                    "attempts": record.attempts,
                    "now": _now(),
                    "retry": record.retry,
                    "next_try_at": record.next_try_at,
                },
            )

    def quarantined(self, source: str | None = None, *, dropped: bool = False) -> list[QuarantineRecord]:
        """Documents that are set aside, by source and id.

        Args:
            source: Of this one only; None is all.
            dropped: Whether those that an operator has let go of are among them.
        """
        rows = self._db.read(
            """
            SELECT * FROM quarantine WHERE (CAST(:source AS TEXT) IS NULL OR source = :source) AND (:dropped OR NOT is_dropped)
            ORDER BY source, document_id
            """,
            {"source": source, "dropped": dropped},
        )
        return [QuarantineRecord(**{**dict(row), "is_dropped": bool(row["is_dropped"])}) for row in rows]

    def release(self, source: str, document_ids: Iterable[str]) -> None:
        """Forget that documents were set aside."""
        with self._db.transaction() as connection:
            connection.executemany(
                "DELETE FROM quarantine WHERE source = :source AND document_id = :id", _names(source, document_ids)
            )

    def drop_quarantined(self, source: str, document_ids: Iterable[str]) -> None:
        """Let go of documents that were set aside: they are not listed and not tried until they change."""
        with self._db.transaction() as connection:
            connection.executemany(
                "UPDATE quarantine SET is_dropped = TRUE WHERE source = :source AND document_id = :id",
                _names(source, document_ids),
            )

    def start_run(self, source: str, *, embedder: str = "") -> int:
        """Note that a run begins.

        Returns:
            Number of the run.
        """
        with self._db.transaction() as connection:
            run: int = connection.execute(
                """
                INSERT INTO runs (source, started_at, status, counts, embedder)
                VALUES (:source, :now, 'running', '{}', :embedder) RETURNING id
                """,
                {"source": source, "now": _now(), "embedder": embedder},
            ).fetchone()[0]
            return run

    def end_dead_runs(self) -> None:
        """Note of runs that still say ``running`` that they died; only whoever holds the lock of ingestion knows."""
        if self._db.read("SELECT 1 FROM runs WHERE status = 'running' LIMIT 1"):
            with self._db.transaction() as connection:
                connection.execute(
                    "UPDATE runs SET status = 'interrupted', ended_at = :now, error = 'the process died' WHERE status = 'running'",
                    {"now": _now()},
                )

    def finish_run(
        self,
        run_id: int,
        *,
        status: RunStatus,
        counts: Mapping[str, int],
        seconds: Mapping[str, float] | None = None,
        cost_nano_usd: int = 0,
        error: str = "",
    ) -> None:
        """Note how a run ended."""
        with self._db.transaction() as connection:
            connection.execute(
                """
                UPDATE runs SET ended_at = :now, status = :status, counts = :counts, seconds = :seconds, cost_nano_usd = :cost,
                                error = :error
                WHERE id = :id
                """,
                {
                    "now": _now(),
                    "status": status,
                    "counts": json.dumps(dict(counts)),
                    "seconds": json.dumps({stage: round(value, 3) for stage, value in (seconds or {}).items()}),
                    "cost": cost_nano_usd,
                    "error": error,
                    "id": run_id,
                },
            )

    def sources(self) -> list[str]:
        """Names of all sources that were ever synced, sorted."""
        rows = self._db.read("SELECT DISTINCT source FROM runs WHERE source <> :all ORDER BY source", {"all": ALL_SOURCES})
        return [row[0] for row in rows]

    def runs(self, limit: int = 10, *, source: str | None = None) -> list[RunRecord]:
        """The last runs, of one source or of all, newest first; one that never ended still says ``running``."""
        rows = self._db.read(
            f"SELECT {_RUN} FROM runs WHERE CAST(:source AS TEXT) IS NULL OR source = :source ORDER BY id DESC LIMIT :limit",  # noqa: S608 - a constant
            {"limit": limit, "source": source},
        )
        values = ((dict(row), json.loads(row["counts"]), json.loads(row["seconds"])) for row in rows)
        return [RunRecord(**{**row, "counts": counts, "seconds": seconds}) for row, counts, seconds in values]

    def last_runs(self) -> list[RunRecord]:
        """The last run of every source, by source; first the one of all sources, if there was one."""
        rows = self._db.read("SELECT source, max(id) FROM runs GROUP BY source ORDER BY source")
        return [run for row in rows for run in self.runs(1, source=row[0])]


def _names(source: str, document_ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"source": source, "id": document_id} for document_id in document_ids]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
