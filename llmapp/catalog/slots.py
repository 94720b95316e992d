"""Where the vectors of the chunks are kept for searching: columns that only grow. A chunk's place in them is its slot.

Two stores of the same shape. `SlotFiles` keeps them in memory-mapped files beside the catalog: many processes share the
memory, a new one need not read them, and they may be deleted at any time. `HeldSlots` keeps them in this process, for a
folder that cannot be written.
"""

from __future__ import annotations

import json
import mmap
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmapp.catalog.lock import FileLock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.protocols import FloatArray

_FORMAT = 1
_WAIT_S = 60.0
"""For another process that writes; a first fill of 500,000 vectors takes some ten seconds."""
_COLUMNS = {"rows": "<i8", "documents": "<i8", "vectors": "<f4", "departed": "<i8"}
_CHECKED_BYTES = 1 << 24
_ROOM = 1.125
"""Times what is held in memory: a column is copied once in so much growth, not with every commit."""


class Batch(NamedTuple):
    """New chunks."""

    rows: NDArray[np.int64]
    """Shape (n,)."""
    documents: NDArray[np.int64]
    """Row numbers of their documents. Shape (n,)."""
    vectors: FloatArray
    """Shape (n, dim)."""


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The columns at one moment; the first axis of the first three is the slot."""

    generation: int
    """Of the catalog, up to which they were brought."""
    rows: NDArray[np.int64]
    """Row numbers of chunks, in the order in which they came. Shape (n,)."""
    documents: NDArray[np.int64]
    """Row numbers of their documents. Shape (n,)."""
    vectors: FloatArray
    """Unit vectors. Shape (n, dim)."""
    departed: NDArray[np.int64]
    """Row numbers of those that have left since, in the order in which they left."""
    head: Head | None = None
    """What the files say of themselves; None where there are none."""

    def live(self) -> NDArray[np.bool_]:
        """Whether the chunk of a slot has not left. Shape (n,)."""
        import numpy as np

        gone = np.zeros(int(self.rows.max(initial=0)) + 1, dtype=np.bool_)
        gone[self.departed] = True
        return ~gone[self.rows]

    def continues(self, earlier: Slots | None) -> bool:
        """Whether these are the columns of `earlier`, with more in them or not."""
        if earlier is None or earlier.head is None or self.head is None:
            return self is earlier
        return self.head.continues(earlier.head)


class SlotStore(Protocol):
    """Keeps columns. Used by one thread at a time."""

    def read(self, known: Slots | None) -> Slots | None:
        """The columns as they are now; None when there are none, or they are damaged. `known` was read before."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer. Raises `LockedError` when another one does not end, and OSError when nothing can be written."""

    def extend(self, slots: Slots | None, batches: Iterable[Batch], departed: NDArray[np.int64], generation: int) -> Slots:
        """Put `batches` behind `slots`, and note who has left; None begins anew. Raises OSError."""

    def clear(self) -> None:
        """Forget everything."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the files hold. What stands beyond was left by a process that died, and is overwritten."""

    epoch: str
    """Names the files: who begins anew leaves those alone that others have mapped."""
    dim: int
    """Length of a vector."""
    generation: int
    slots: int
    departed: int
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COLUMNS, 0))
    """CRC-32 of every column."""
    format: int = _FORMAT

    def length_bytes(self, column: str) -> int:
        """Bytes that a column has."""
        items = {"departed": self.departed, "vectors": self.slots * self.dim}.get(column, self.slots)
        return items * int(_COLUMNS[column][-1])

    def continues(self, earlier: Head) -> bool:
        """Whether these are the files of `earlier` with more in them."""
        return self.epoch == earlier.epoch and self.slots >= earlier.slots and self.departed >= earlier.departed


class SlotFiles:
    """A file for each column, and `head.json`, which is replaced in one step. Implements `SlotStore`.

    Nothing is flushed to the disk: whoever opens the files compares length and sum of all that is new to it, 0.5 s for
    500,000 vectors.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made by the first write."""
        self._folder = folder
        self._lock = FileLock(folder / "write.lock", purpose="the table of vectors", wait_s=_WAIT_S)

    def read(self, known: Slots | None) -> Slots | None:
        """The columns as they are now; None when there are none, or they are damaged."""
        try:
            head = _head_from((self._folder / "head.json").read_bytes())
            before = known.head if known is not None else None
            if known is not None and head == before:
                return known
            if before is None or not head.continues(before):
                before = Head(head.epoch, head.dim, 0, 0, 0)
            slots = self._mapped(head)
            _check_sums(slots, since=before)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return slots

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer among the processes."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock:
            yield

    def extend(self, slots: Slots | None, batches: Iterable[Batch], departed: NDArray[np.int64], generation: int) -> Slots:
        """Put `batches` behind `slots`, and note who has left; None begins anew, with files of another name."""
        if slots is None or slots.head is None:
            self.clear()
            head = Head(secrets.token_hex(8), 0, 0, 0, 0)
        else:
            head = slots.head
        dim, count, sums = head.dim, head.slots, dict(head.sums)
        with self._columns(head) as columns:
            for batch in batches:
                dim, count = batch.vectors.shape[1], count + len(batch.rows)
                for name, values in batch._asdict().items():
                    sums[name] = _append(columns[name], values, sums[name])
            sums["departed"] = _append(columns["departed"], departed, sums["departed"])
        head = Head(head.epoch, dim, generation, count, head.departed + len(departed), sums)
        new = self._folder / "head.new"
        new.write_text(json.dumps(asdict(head)), encoding="ascii")
        new.replace(self._folder / "head.json")
        return self._mapped(head)

    def clear(self) -> None:
        """Remove the files; who has them mapped keeps what was mapped."""
        for file in self._folder.glob("*"):
            if file.name == "head.json" or file.suffix[1:] in _COLUMNS:
                with suppress(OSError):  # where a mapped file cannot be removed, the next one that begins anew tries again
                    file.unlink()

    @contextmanager
    def _columns(self, head: Head) -> Iterator[dict[str, Any]]:
        """The files, each open at the place where it goes on."""
        columns = {}
        try:
            for name in _COLUMNS:
                path = self._folder / f"{head.epoch}.{name}"
                path.touch(mode=0o600)
                columns[name] = path.open("r+b")
                columns[name].truncate(head.length_bytes(name))
                columns[name].seek(head.length_bytes(name))
            yield columns
        finally:
            for file in columns.values():
                file.close()

    def _mapped(self, head: Head) -> Slots:
        columns = {name: self._map(head, name) for name in _COLUMNS}
        columns["vectors"] = columns["vectors"].reshape(head.slots, head.dim)
        return Slots(head.generation, **columns, head=head)

    def _map(self, head: Head, name: str) -> NDArray[Any]:
        """Raises ValueError when the file is shorter than it should be."""
        import numpy as np

        length = head.length_bytes(name)
        if not length:
            return np.zeros(0, dtype=_COLUMNS[name])
        with (self._folder / f"{head.epoch}.{name}").open("rb") as file:
            return np.frombuffer(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ), dtype=_COLUMNS[name])


class HeldSlots:
    """Columns in the memory of this process, with room to grow. Implements `SlotStore`."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._newest: Slots | None = None
        self._room: list[NDArray[Any]] = []
        """The columns of the newest slots, in the order of `Batch`, with room behind them."""

    def read(self, known: Slots | None) -> Slots | None:
        """What this process has."""
        return known

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else writes."""
        yield

    def extend(self, slots: Slots | None, batches: Iterable[Batch], departed: NDArray[np.int64], generation: int) -> Slots:
        """Put `batches` behind `slots`, and note who has left."""
        import numpy as np

        parts = list(batches)
        if slots is not None and len(slots.rows):
            parts.insert(0, Batch(slots.rows, slots.documents, slots.vectors))
            departed = np.concatenate([slots.departed, departed])
        if not parts:
            nothing = np.zeros(0, dtype=np.int64)
            return Slots(generation, nothing, nothing, np.zeros((0, 0), dtype=np.float32), nothing)
        columns = [self._put(place, column, slots) for place, column in enumerate(zip(*parts, strict=True))]
        self._newest = Slots(generation, columns[0], columns[1], columns[2], departed)
        return self._newest

    def _put(self, place: int, parts: Sequence[NDArray[Any]], slots: Slots | None) -> NDArray[Any]:
        """A column of these parts: behind the newest where they continue it and there is room, else with new room behind it.

        Whoever reads the former columns sees nothing of it: they end before.
        """
        import numpy as np

        end = sum(map(len, parts))
        if slots is None or slots is not self._newest or end > len(self._room[place]):
            room = np.empty((int(end * _ROOM), *parts[0].shape[1:]), dtype=parts[0].dtype)
            np.concatenate(parts, out=room[:end])
            self._room[place:] = [room, *self._room[place + 1 :]]
        elif end > len(parts[0]):
            np.concatenate(parts[1:], out=self._room[place][len(parts[0]) : end])
        return self._room[place][:end]

    def clear(self) -> None:
        """Nothing is kept here."""
        self._newest, self._room = None, []


def _head_from(content: bytes) -> Head:
    head = Head(**json.loads(content))
    if head.format != _FORMAT:
        raise ValueError(f"format {head.format}")
    return head


def _append(file: Any, values: NDArray[Any], before: int) -> int:
    """Write, and return the sum of the whole file."""
    content = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    file.write(content)
    return zlib.crc32(content, before)


def _check_sums(slots: Slots, *, since: Head) -> None:
    """Compare what was written after `since`. Raises ValueError when it is not what was written."""
    assert slots.head is not None  # noqa: S101 - they come from files
    for name in _COLUMNS:
        content = memoryview(getattr(slots, name).reshape(-1).view("u1").data)
        found = since.sums[name]
        for start in range(since.length_bytes(name), slots.head.length_bytes(name), _CHECKED_BYTES):
            found = zlib.crc32(content[start : start + _CHECKED_BYTES], found)
        if found != slots.head.sums[name]:
            raise ValueError(f"the column {name} is damaged")
