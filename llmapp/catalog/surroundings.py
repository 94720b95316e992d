"""What stands around a chunk in its document: where its neighbours are, and parts of the text. Always through a principal."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from llmapp.catalog import document_rows
from llmapp.catalog.database import Database
from llmapp.catalog.facts import FACTS, facts_of
from llmapp.catalog.filtering import grants_of
from llmapp.catalog.live_chunks import READABLE
from llmapp.catalog.records import ChunkPlace
from llmapp.filters.keys import predicate
from llmapp.filters.tree import Filter
from llmapp.types import Principal

_OF_PLACE = 6
"""Columns of a chunk and of one near it; behind them stand the facts of their document."""


class Surroundings:
    """The part of the catalog that the expansion of hits reads."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def surroundings(
        self, chunk_ids: Sequence[str], *, within_chars: int, principal: Principal, where: Filter | None = None
    ) -> dict[str, list[ChunkPlace]]:
        """Where the chunks around each of `chunk_ids` are.

        Args:
            chunk_ids: Those that are not live, or not readable, are left out.
            within_chars: How far from a chunk another may begin. Characters.
            principal: Who asks.
            where: What the document must satisfy; None is nothing.

        Returns:
            For each chunk those of its document that begin that near, itself included, in order of the text.
        """
        rows = self._db.read(
            f"""
            SELECT c.chunk_id, near.chunk_id, near.start_char, near.end_char, near.page, near.heading, {FACTS}
            FROM chunks c JOIN documents d ON d.id = c.document
                JOIN chunks near ON near.document = c.document
                AND near.start_char BETWEEN c.start_char - :within AND c.start_char + :within
            WHERE c.chunk_id IN (SELECT value FROM json_each(:ids)) AND {READABLE}
            ORDER BY near.start_char
            """,  # noqa: S608 - a constant
            {"ids": json.dumps(list(chunk_ids)), "within": within_chars, **grants_of(principal)},
        )
        if where is not None:
            is_wanted, fields = predicate(where), where.fields
            rows = [row for row in rows if is_wanted(facts_of(row[_OF_PLACE:], fields))]
        places: dict[str, list[ChunkPlace]] = defaultdict(list)
        for row in rows:
            places[row[0]].append(ChunkPlace(*row[1:_OF_PLACE]))
        return dict(places)

    def cut(self, source: str, document_id: str, start: int, end: int, *, principal: Principal) -> str | None:
        """``text[start:end]`` of a document; None when there is none that `principal` may read, or its text ends earlier."""
        rows = self._db.read(
            f"""
            SELECT c.part, c.text FROM (
                SELECT t.document, t.part, t.text, (SELECT max(part) FROM texts WHERE document = t.document) AS last
                FROM texts t JOIN documents d ON d.id = t.document
                WHERE d.source = :source AND d.document_id = :id) c
            WHERE (c.part BETWEEN :first AND :last OR c.last = 0) AND {READABLE} ORDER BY c.part
            """,  # noqa: S608 - a constant
            {
                "source": source,
                "id": document_id,
                "first": start // document_rows.PART_CHARS,
                "last": (end - 1) // document_rows.PART_CHARS,
                **grants_of(principal),
            },
        )
        # A text of before parts is one whole, the only part there is.
        offset = rows[0][0] * document_rows.PART_CHARS if rows else 0
        text = "".join(row[1] for row in rows)[start - offset : end - offset]
        return text if rows and len(text) == end - start else None
