"""The parser process: reads documents from one pipe, writes their text to another.

Run as ``python -m llmapp.ingestion.parsing.worker`` by `llmapp.ingestion.parsing`. The first frame holds the limits and the
passwords, so that these stand neither on a command line nor in an environment. Knows no format itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, BinaryIO, cast

from llmapp.errors import IngestionError
from llmapp.ingestion.parsing.limits import Limits
from llmapp.ingestion.parsing.media_types import WAYS
from llmapp.ingestion.parsing.reading import Reader
from llmapp.ingestion.parsing.worker_process import (
    OUT_OF_MEMORY,
    alarm,
    end_with_parent,
    private_pipes,
    read_frame,
    restrict,
    write_text,
)

_GRACE_S = 2.0
"""The parent ends a worker in time; after so much longer it is taken to be stuck itself. Seconds."""


def main() -> None:
    """Serve until the input ends."""
    requests, replies = private_pipes()
    first = read_frame(requests)
    if first is None:
        return
    settings = cast("dict[str, Any]", first[0])
    end_with_parent(settings["parent"], settings["folder"])
    reader = Reader(Limits(**settings["limits"]), settings["passwords"])
    restrict(reader.limits.memory_bytes)
    while _serve(reader, requests, replies):
        pass  # what one document took is given back before the next one comes
    shutil.rmtree(settings["folder"], ignore_errors=True)  # the parent that made it may have been killed


def _serve(reader: Reader, requests: BinaryIO, replies: BinaryIO) -> bool:
    frame = read_frame(requests)
    if frame is None:
        return False
    facts, content = frame
    with alarm(reader.limits.seconds + _GRACE_S):
        answer, text = _answer(reader, content, str(facts["media_type"]), str(facts["name"]))
    del frame, content  # large texts: the reply needs the memory
    with contextlib.suppress(BrokenPipeError):
        write_text(replies, answer, text)
    return True


def _answer(reader: Reader, content: bytes, media_type: str, name: str) -> tuple[dict[str, object], str]:
    try:
        reading = reader.read(content, media_type, name)
    except IngestionError as error:
        return {"code": error.code, "error": error.message, "hint": error.hint}, ""
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # what is left of the process is not to be trusted
    text, page_starts = _join(reading.pages)
    return {"title": reading.title, "page_starts": page_starts if WAYS.get(media_type) == "pages" else []}, text


def _join(pages: list[str]) -> tuple[str, list[int]]:
    starts, position = [], 0
    for page in pages:
        starts.append(position)
        position += len(page) + len("\n\n")
    return (pages[0] if len(pages) == 1 else "\n\n".join(pages)), starts


if __name__ == "__main__":
    main()
