"""Postings in the catalog: segments, written with the chunks whose words they hold and never changed afterwards.

Works within a transaction of the caller. A deleted chunk stays in its segment and is found by nobody, for whoever searches
asks which row numbers are live; merging small segments into larger ones leaves it out. Of each size there are only a few
segments, so a chunk is rewritten a handful of times however many come after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from llmapp.catalog import meta
from llmapp.catalog.database import Connection, Row
from llmapp.errors import CatalogError
from llmapp.words.analysis import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.catalog.segments import Fields, Segment

    NumberedFields: TypeAlias = tuple[int, Fields]
    """Row number of a chunk, and what of it is indexed."""

_SMALLEST = 64
_MOST_ALIKE = 8
"""Segments of about the same size, within a factor of this, from which on they are merged."""
_FULL = 1 << 14
"""Chunks from which on a segment is merged no more: so a merge takes no longer as the catalog grows."""

WORDS = "SELECT value FROM meta WHERE key = 'words'"
"""Identity of the analysis of the postings that are searched."""


def reserve_rows(connection: Connection, count: int) -> range:
    """Row numbers for new chunks, that no chunk has had before."""
    found = connection.execute(
        """
        INSERT INTO meta VALUES ('last_row', CAST(:count AS TEXT))
        ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + :count AS TEXT) RETURNING value
        """,
        {"count": count},
    ).fetchall()
    last = int(found[0][0])
    return range(last - count + 1, last + 1)


def words_of(found: Sequence[Row]) -> Words:
    """The analysis of the postings that are searched, of the rows of `WORDS`.

    Raises:
        CatalogError: It is of another version of llmapp.
    """
    words = Words.named(found[0][0]) if found else None
    if words is None:
        raise CatalogError("the full text was written by another version of llmapp", hint="restart this process")
    return words


def index(connection: Connection, chunks: Sequence[NumberedFields], words: Words | None = None) -> None:
    """Write a segment of chunks, live or staged, and merge those that have become many.

    Args:
        connection: Within a transaction.
        chunks: Row numbers, ascending, with title, heading and text.
        words: The analysis; None takes that of the postings that are searched.
    """
    from llmapp.catalog.segments import segment_of

    if chunks:
        words = words or words_of(connection.execute(WORDS).fetchall())
        _write(connection, segment_of(chunks, words.terms), words.identity)
        _merge(connection)


def segments(connection: Connection) -> list[int]:
    """Numbers of all segments, searched or not."""
    return [row[0] for row in connection.execute("SELECT id FROM segments ORDER BY id").fetchall()]


def drop_gone(connection: Connection, number: int, *, most_share: float = 0.0) -> None:
    """Rewrite a segment of which more than a share is gone, so that nothing of the deleted chunks is left in it."""
    import numpy as np

    found = connection.execute("SELECT rows FROM segments WHERE id = :number", {"number": number}).fetchall()
    for row in found:
        rows = np.frombuffer(row[0], dtype="<i8")
        if not np.isin(rows, _live(connection, rows)).mean() >= 1 - most_share:
            _rewrite(connection, [number])


def _merge(connection: Connection) -> None:
    """Merge until there are only a few segments of about the same size."""
    sizes = "SELECT id, size FROM segments WHERE analysis = (SELECT value FROM meta WHERE key = 'words') ORDER BY size, id"
    while numbers := _alike(connection.execute(sizes).fetchall()):
        _rewrite(connection, numbers)


def _alike(sizes: Iterable[tuple[int, int]]) -> list[int]:
    """The segments to merge first, being many of about the same size; none where there are few of each.

    Args:
        sizes: Number and chunks of each segment, ascending by chunks.
    """
    groups: dict[int, list[tuple[int, int]]] = {}
    for number, size in sizes:
        # Below 256, 2,048 and 16,384 chunks.
        group = groups.setdefault((size // _SMALLEST).bit_length() // 3, [])
        group.append((number, size))
        is_full = len(group) > 1 and sum(size for _, size in group) >= _FULL
        if size < _FULL and (len(group) == _MOST_ALIKE or is_full):
            return [number for number, _ in group]
    return []


def _rewrite(connection: Connection, numbers: Sequence[int]) -> None:
    """Put one segment in the place of several, without what is gone."""
    import numpy as np

    from llmapp.catalog.segments import merged

    where = {"numbers": json.dumps(numbers)}
    (analysis,) = connection.execute(
        "SELECT DISTINCT analysis FROM segments WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:numbers))", where
    ).fetchall()[0]
    parts = [_read(connection, number) for number in numbers]
    live = _live(connection, np.concatenate([part.rows for part in parts]))
    connection.execute("DELETE FROM segments WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:numbers))", where)
    _write(connection, merged(parts, live), analysis)


def _live(connection: Connection, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row numbers of the chunks, live or staged, between the first and the last of `rows`."""
    import numpy as np

    if not len(rows):
        return rows
    found = connection.execute(
        """
        SELECT id FROM chunks WHERE id BETWEEN :first AND :last
        UNION ALL SELECT row FROM staged_chunks WHERE row BETWEEN :first AND :last
        """,
        {"first": int(rows.min()), "last": int(rows.max())},
    ).fetchall()
    return np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))


def _read(connection: Connection, number: int) -> Segment:
    import numpy as np

    from llmapp.catalog.segments import Segment

    which = {"number": number}
    rows, lengths = connection.execute("SELECT rows, lengths FROM segments WHERE id = :number", which).fetchall()[0]
    found = connection.execute(
        "SELECT term, positions, freqs FROM postings WHERE segment = :number ORDER BY term", which
    ).fetchall()
    sizes = [len(row[2]) // 2 for row in found]
    return Segment(
        np.frombuffer(rows, dtype="<i8"),
        np.frombuffer(lengths, dtype="<u4"),
        [row[0] for row in found],
        np.cumsum([0, *sizes]),
        np.frombuffer(b"".join(row[1] for row in found), dtype="<u4"),
        np.frombuffer(b"".join(row[2] for row in found), dtype="<u2"),
    )


def _write(connection: Connection, segment: Segment, analysis: str) -> None:
    if not len(segment.rows):
        return
    values = {
        "analysis": analysis,
        "size": len(segment.rows),
        "last": int(segment.rows[-1]),
        "rows": segment.rows.astype("<i8").tobytes(),
        "lengths": segment.lengths.astype("<u4").tobytes(),
    }
    number = connection.execute(
        """
        INSERT INTO segments (analysis, size, last_row, rows, lengths) VALUES (:analysis, :size, :last, :rows, :lengths)
        RETURNING id
        """,
        values,
    ).fetchall()[0][0]
    connection.executemany(
        "INSERT INTO postings (segment, term, positions, freqs) VALUES (:segment, :term, :positions, :freqs)",
        _posting_rows(number, segment),
    )


def _posting_rows(number: int, segment: Segment) -> Iterable[dict[str, object]]:
    for term, positions, freqs in segment.postings():
        yield {"segment": number, "term": term, "positions": positions, "freqs": freqs}


def index_more(connection: Connection, words: Words, *, most_chunks: int) -> bool:
    """Go on writing the postings of all chunks anew by another analysis; the former ones serve until the last is written.

    Returns:
        Whether there is more to do.
    """
    both = {"words": words.identity, "most": most_chunks}
    connection.execute(
        "DELETE FROM segments WHERE analysis NOT IN (:words, (SELECT coalesce(max(value), '') FROM meta WHERE key = 'words'))",
        both,
    )
    batch = connection.execute(
        """
        SELECT id, title, heading, text FROM chunks
        WHERE id > (SELECT coalesce(max(last_row), 0) FROM segments WHERE analysis = :words)
        UNION ALL SELECT row, title, heading, text FROM staged_chunks
        WHERE row > (SELECT coalesce(max(last_row), 0) FROM segments WHERE analysis = :words)
        ORDER BY 1 LIMIT :most
        """,
        both,
    ).fetchall()
    index(connection, [(row[0], (row[1], row[2], row[3])) for row in batch], words)
    if len(batch) == most_chunks:
        return True
    meta.put(connection, "words", words.identity)
    connection.execute("DELETE FROM segments WHERE analysis <> :words", both)
    return False
