"""The access lists of all documents, by number: equal lists share one, so that rights are compared once a list, not once a document."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GONE = 0
"""The list of a chunk that is live no more; nobody has it."""
_NOBODY = 1
"""The empty list."""


class AccessLists:
    """Numbers of access lists, and which document has which. Numbers keep their meaning as long as this object lives."""

    def __init__(self) -> None:
        """Start without documents."""
        import numpy as np

        self._numbers: dict[tuple[str, ...], int] = {(): _NOBODY}
        self._with: dict[str, list[int]] = {}
        self._of_document: NDArray[np.int32] = np.full(1024, _NOBODY, dtype=np.int32)

    def set(self, documents: Iterable[int], grants: Iterable[tuple[int, str]]) -> None:
        """Give documents other lists.

        Args:
            documents: Row numbers; those that `grants` does not name are readable by nobody.
            grants: Row number of a document and a grant, sorted.
        """
        for document in documents:
            self._put(document, _NOBODY)
        for document, pairs in groupby(grants, key=lambda pair: pair[0]):
            self._put(document, self._number(tuple(name for _, name in pairs)))

    def of(self, documents: NDArray[np.int64]) -> NDArray[np.int32]:
        """Numbers of the lists of some documents. Shapes (n,)."""
        if len(documents):
            self._make_room(int(documents.max()))
        return self._of_document[documents]

    def readable(self, grants: frozenset[str]) -> NDArray[np.bool_]:
        """Whether one who holds `grants` may read what has a list, by its number. Shape (lists,)."""
        import numpy as np

        # The lists first: another thread may number new ones meanwhile.
        numbers = [number for grant in grants for number in tuple(self._with.get(grant, ()))]
        readable = np.zeros(len(self._numbers) + 1, dtype=np.bool_)
        readable[numbers] = True
        return readable

    def _number(self, grants: tuple[str, ...]) -> int:
        number = self._numbers.get(grants)
        if number is None:
            number = self._numbers[grants] = len(self._numbers) + 1
            for grant in grants:
                self._with.setdefault(grant, []).append(number)
        return number

    def _put(self, document: int, number: int) -> None:
        self._make_room(document)
        self._of_document[document] = number

    def _make_room(self, document: int) -> None:
        import numpy as np

        while document >= len(self._of_document):
            more = np.full(len(self._of_document), _NOBODY, dtype=np.int32)
            self._of_document = np.concatenate([self._of_document, more])
