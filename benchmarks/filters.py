"""How long a filter takes: row numbers of the matching documents, first and again, on SQLite.

    python benchmarks/filters.py [documents]

Fields of 7, 100 and 10,000 values, so that equality finds 1/7, 1/100 and 1/10,000 of them.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import DocumentRecord
from llmapp.filters import parse_filter
from llmapp.types import PUBLIC

FILTERS = [
    "seven = 3",
    "hundred = 3",
    "many = 3",
    "hundred >= 50",
    "seven = 3 and many < 5000",
    "seven in (1, 2) or not hundred = 3",
    'source = "s"',
    'document_id = "d77"',
    "committed_at >= 2000-01-01",
]


def record(number: int) -> DocumentRecord:
    """A document without chunks: filters see none of them."""
    return DocumentRecord(
        source="s",
        document_id=f"d{number}",
        uri=f"folder/d{number}.txt",
        title=f"Document {number}",
        text="text",
        page_starts=(),
        media_type="text/plain",
        metadata={"seven": number % 7, "hundred": number % 100, "many": number % 10_000},
        acl=(PUBLIC,),
        revision=None,
        content_hash=str(number),
        parser="none",
    )


def main(documents: int) -> None:
    with TemporaryDirectory() as folder, closing(Catalog(Path(folder) / "catalog.db")) as catalog:
        started = time.perf_counter()
        for start in range(0, documents, 10_000):
            catalog.replace([record(number) for number in range(start, min(start + 10_000, documents))], {})
        print(f"{documents:,} documents written at {documents / (time.perf_counter() - started):,.0f} a second")
        print(f"{'filter':<40} {'found':>9} {'first ms':>9} {'again ms':>9}")
        for text in FILTERS:
            where = parse_filter(text)
            first, again = [], []
            for _ in range(3):
                catalog._matching.clear()  # noqa: SLF001 - the first time is what is measured
                first.append(timed(catalog, where))
                again.append(timed(catalog, where))
            found = len(catalog.matching_documents(where))
            print(f"{text:<40} {found:>9,} {median(first):>9.2f} {median(again):>9.3f}")


def timed(catalog: Catalog, where: object) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    catalog.matching_documents(where)  # type: ignore[arg-type]
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
