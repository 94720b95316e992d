"""Parsing in processes of their own, with limits on time, memory and output.

Knows the frames of `llmapp.ingestion.parse_worker` and the life of its processes; reads no format itself. A process that
dies or hangs is replaced, and only the document that it was reading fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, cast

from llmapp.errors import ParseError, ParserCrashedError, UnsupportedMediaTypeError
from llmapp.ingestion.media_types import ENCRYPTED_OFFICE, WAYS, has_headings
from llmapp.ingestion.parse_worker import HEADER, Limits, write_frame
from llmapp.types import ParsedDocument

_REVISION = 2  # raised when the same bytes give another text
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_MAX_FACTS_BYTES = 1 << 24
_MAX_CHAR_BYTES = 4  # of UTF-8


class ProcessParser:
    """A `Parser` over a small pool of processes; safe to use from several threads.

    A process is started when a document first needs one.
    """

    def __init__(self, *, workers: int = 2, limits: Limits | None = None) -> None:
        """Set the size of the pool and the limits.

        Args:
            workers: Documents that may be parsed at the same time. Count.
            limits: What one document may take; None takes the defaults.
        """
        self._limits = limits or Limits()
        self._slots = threading.Semaphore(workers)
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()

    @property
    def version(self) -> str:
        """Name and version of the parser and of what is done around it."""
        return f"kreuzberg-{metadata.version('kreuzberg')}+{_REVISION}"

    def parse(self, content: bytes, *, media_type: str, name: str) -> ParsedDocument:
        """Extract the text; see `llmapp.protocols.Parser`."""
        if media_type not in WAYS and media_type != ENCRYPTED_OFFICE:
            raise UnsupportedMediaTypeError(f"{name}: no parser reads {media_type}")
        with self._slots:
            worker = self._take()
            try:
                facts, text = worker.ask(content, media_type)
            except BaseException:
                worker.close()
                raise
            self._idle.put(worker)
        if "error" in facts:
            raise ParseError(f"{name}: {facts['error']}", hint=str(facts.get("hint", "")))
        title, starts = cast("str | None", facts["title"]), cast("list[int]", facts["page_starts"])
        return ParsedDocument(
            text=text,
            title=title,
            page_starts=tuple(starts),
            parser=self.version,
            has_headings=has_headings(media_type),
        )

    def close(self) -> None:
        """End the worker processes; the next document starts a new one."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _take(self) -> _Worker:
        with contextlib.suppress(queue.Empty):
            while not (worker := self._idle.get_nowait()).is_alive:
                worker.close()
            return worker
        return _Worker(self._limits)


class _Worker:
    """One process, one document at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="llmapp-parser-", ignore_cleanup_errors=True)
        # Not the caller's folder and not its environment: a document must find neither modules nor keys to use.
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        environment |= {"TMPDIR": self._folder.name, "TMP": self._folder.name, "HOME": self._folder.name}
        self._complaints = Path(self._folder.name, "stderr").open("w+b")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "llmapp.ingestion.parse_worker", json.dumps(asdict(limits)), self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, content: bytes, media_type: str) -> tuple[dict[str, object], str]:
        """Send a document, wait for its text; the process is unusable after an exception."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(self._limits.seconds, expire)
        timer.start()
        try:
            write_frame(cast("BinaryIO", self._process.stdin), {"media_type": media_type}, content)
            facts, text = self._reply()
        except (OSError, EOFError, ValueError) as error:
            reason = (
                f"the parser took longer than {self._limits.seconds:g} s" if expired.is_set() else self._post_mortem(error)
            )
            raise ParserCrashedError(reason, hint="leave this document out") from error
        finally:
            timer.cancel()
            timer.join()
        if expired.is_set():  # between the reply and the cancelling: the process is not to be used again
            self._process.wait()
        return facts, text

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast("BinaryIO", pipe).close()
        self._complaints.close()
        self._folder.cleanup()

    def _reply(self) -> tuple[dict[str, object], str]:
        facts_bytes, text_bytes = HEADER.unpack(self._exactly(HEADER.size))
        if facts_bytes > _MAX_FACTS_BYTES or text_bytes > _MAX_CHAR_BYTES * self._limits.output_chars:
            raise ValueError("the reply is larger than the limits")
        facts = json.loads(self._exactly(facts_bytes))
        return facts, self._exactly(text_bytes).decode()

    def _exactly(self, length_bytes: int) -> bytes:
        data = cast("BinaryIO", self._process.stdout).read(length_bytes)
        if len(data) < length_bytes:
            raise EOFError
        return data

    def _post_mortem(self, error: Exception) -> str:
        if isinstance(error, ValueError):
            return "the parser process sent what is no reply"
        self._process.kill()  # in case that it has only closed its pipe
        code = self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read()[-2000:].decode(errors="replace").strip().splitlines()
        cause = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"the parser process ended with {cause}" + (f": {lines[-1][:200]}" if lines else "")
