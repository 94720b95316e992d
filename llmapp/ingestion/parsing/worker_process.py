"""The inside of a worker process, whatever work it does: its pipes, its frames, what it may take, and its end.

A frame is a header, JSON facts and a body, both ways. What native code prints goes to the null device, so it cannot disturb
the frames. The process ends when its parent does, in the middle of a document too, and takes its folder along.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

HEADER = struct.Struct(">IQ")
"""Length of the facts and of the body. Bytes, both."""
OUT_OF_MEMORY = 73
"""Exit status of a worker that met the limit on its memory."""
_MAX_FILE_BYTES = 1 << 28  # kreuzberg unpacks a library of 8 MB; nothing else needs a file
_PIECE_CHARS = 1 << 20
_WATCH_S = 0.5


def write_frame(
    pipe: BinaryIO, facts: Mapping[str, object], body: bytes | Iterable[bytes] = b"", *, body_bytes: int = 0
) -> None:
    """Write one frame.

    Args:
        pipe: Where to.
        facts: Anything JSON can hold.
        body: Written as it is, without a copy; or its parts in order.
        body_bytes: Length of all parts. Bytes; bytes in one piece know their own.

    Raises:
        OSError: The other side is gone.
    """
    head = json.dumps(facts).encode()
    parts = [body] if isinstance(body, bytes) else body
    pipe.write(HEADER.pack(len(head), len(body) if isinstance(body, bytes) else body_bytes) + head)
    pipe.writelines(parts)
    pipe.flush()


def write_text(pipe: BinaryIO, facts: Mapping[str, object], text: str) -> None:
    """Write a frame whose body is a text in UTF-8, which is never there as a whole: texts may be large.

    Raises:
        OSError: The other side is gone.
    """
    length = sum(map(len, _encoded(text)))
    write_frame(pipe, facts, _encoded(text), body_bytes=length)


def _encoded(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _PIECE_CHARS):
        yield text[start : start + _PIECE_CHARS].encode("utf-8", "replace")


def read_frame(pipe: BinaryIO) -> tuple[dict[str, object], bytes] | None:
    """The next frame; None when the input has ended."""
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    facts_bytes, body_bytes = HEADER.unpack(header)
    return json.loads(pipe.read(facts_bytes)), pipe.read(body_bytes)


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for frames alone; all others find the null device there."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, replies


def restrict(memory_bytes: int) -> None:
    """Set what the system enforces: memory, size of files, no core dumps. Where it cannot, the parent's limits hold alone."""
    if os.name != "posix":
        return
    import resource

    ceilings = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_FSIZE: _MAX_FILE_BYTES, resource.RLIMIT_CORE: 0}
    for what, most in ceilings.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def end_with_parent(parent: int, folder: str) -> None:
    """Watch the parent from a thread; when it is gone, remove the folder and end, whatever is being read.

    Args:
        parent: Process id of the parent.
        folder: What the parent made for this process, and would have removed.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """End the process when time is up, even in native code that lets no thread run: the parent does so earlier, if it lives."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
