"""Parsing in processes of their own, with limits on size, time, memory and output.

Knows the frames of `llmapp.ingestion.parsing.worker_process` and the life of the processes; reads no format itself but UTF-8. A process that
dies or hangs is replaced, and only the document that it was reading fails. A plain text in UTF-8 is decoded at once: that
is safe, and a pipe would hold a large text several times over.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import SecretStr

from llmapp.errors import LimitExceededError, ParseError, ParserCrashedError, UnsupportedMediaTypeError
from llmapp.ingestion.parsing.limits import Limits, over, raising
from llmapp.ingestion.parsing.media_types import ENCRYPTED_OFFICE, WAYS, has_headings
from llmapp.ingestion.parsing.text_decoding import decode_utf8
from llmapp.ingestion.parsing.titles import heading_title
from llmapp.ingestion.parsing.worker_process import HEADER, OUT_OF_MEMORY, write_frame
from llmapp.types import ParsedDocument

_REVISION = 3  # raised when the same bytes give another text
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_DYING_S = 5.0
_MAX_FACTS_BYTES = 1 << 24
_MAX_CHAR_BYTES = 4  # of UTF-8
_OUT_OF_MEMORY = re.compile(r"memory allocation of \d+ bytes failed|MemoryError|bad_alloc")
_REFUSALS = {kind.code: kind for kind in (ParseError, LimitExceededError, UnsupportedMediaTypeError)}


class ProcessParser:
    """A `Parser` over a small pool of processes; safe to use from several threads.

    A process is started when a document first needs one.
    """

    def __init__(self, *, workers: int = 2, limits: Limits | None = None, passwords: Sequence[SecretStr | str] = ()) -> None:
        """Set the size of the pool and the limits.

        Args:
            workers: Documents that may be parsed at the same time. Count.
            limits: What one document may take; None takes the defaults.
            passwords: Tried in order on documents that are encrypted.
        """
        self.version = f"kreuzberg-{metadata.version('kreuzberg')}+{_REVISION}"
        """Name and version of the parser and of what is done around it."""
        self._limits = limits or Limits()
        self._passwords = tuple(SecretStr(word) if isinstance(word, str) else word for word in passwords)
        self._slots = threading.Semaphore(workers)
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()

    def parse(self, content: bytes, *, media_type: str, name: str) -> ParsedDocument:
        """Extract the text; see `llmapp.protocols.Parser`.

        The content is let go as soon as a worker has it: a caller that keeps no reference frees its memory.

        Raises:
            LimitExceededError: It is over one of the limits; the hint names the setting.
        """
        if media_type not in WAYS and media_type != ENCRYPTED_OFFICE:
            raise UnsupportedMediaTypeError(f"{name}: no parser reads {media_type}")
        if len(content) > self._limits.max_bytes:
            raise over("max_bytes", f"{name}: it has {len(content):,} bytes, the limit is {self._limits.max_bytes:,}")
        if WAYS.get(media_type) == "text" and (text := _decoded(content, name)) is not None:
            return self._parsed(text, heading_title(text) if media_type == "text/markdown" else None, (), media_type)
        with self._worker() as worker, worker.in_time():
            text_bytes = _MAX_CHAR_BYTES * max(self._limits.max_chars, len(content))
            worker.send(content, media_type, name)
            del content
            facts, text = worker.reply(text_bytes)
        if "error" in facts:
            refusal = _REFUSALS.get(str(facts["code"]), ParseError)
            raise refusal(f"{name}: {facts['error']}", hint=str(facts.get("hint", "")))
        starts = cast("list[int]", facts["page_starts"])
        return self._parsed(text, cast("str | None", facts["title"]), tuple(starts), media_type)

    def _parsed(self, text: str, title: str | None, page_starts: tuple[int, ...], media_type: str) -> ParsedDocument:
        return ParsedDocument(
            text=text, title=title, page_starts=page_starts, parser=self.version, has_headings=has_headings(media_type)
        )

    def close(self) -> None:
        """End the worker processes; the next document starts a new one."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[_Worker]:
        """One worker for one document; after an exception it is not used again."""
        with self._slots:
            worker = self._take()
            try:
                yield worker
            except BaseException:
                worker.close()
                raise
            self._idle.put(worker)

    def _take(self) -> _Worker:
        with contextlib.suppress(queue.Empty):
            while not (worker := self._idle.get_nowait()).is_alive:
                worker.close()
            return worker
        return _Worker(self._limits, self._passwords)


def _decoded(content: bytes, name: str) -> str | None:
    """The text of a plain text in UTF-8; None when a worker has to find out what it is."""
    try:
        text = decode_utf8(content)
    except ParseError as error:
        raise ParseError(f"{name}: {error.message}", hint=error.hint) from error
    if text is not None and (not text or text.isspace()):
        raise ParseError(f"{name}: it holds no text")
    return text


class _Worker:
    """One process, one document at a time; it is unusable after an exception."""

    def __init__(self, limits: Limits, passwords: Sequence[SecretStr]) -> None:
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="llmapp-parser-", ignore_cleanup_errors=True)
        # Not the caller's folder and not its environment: a document must find neither modules nor keys to use.
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        environment |= {"TMPDIR": self._folder.name, "TMP": self._folder.name, "HOME": self._folder.name}
        self._complaints = Path(self._folder.name, "stderr").open("w+b")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmapp.ingestion.parsing.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )
        self._expired = threading.Event()
        self._settings: dict[str, object] | None = {
            "limits": asdict(limits),
            "passwords": [password.get_secret_value() for password in passwords],
            "parent": os.getpid(),
            "folder": self._folder.name,
        }

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @contextlib.contextmanager
    def in_time(self) -> Iterator[None]:
        """Kill the process when a document takes too long; what ends it, ends in one error."""
        timer = threading.Timer(self._limits.seconds, self._expire)
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            raise self._crash(error) from error
        finally:
            timer.cancel()
            timer.join()
        if self._expired.is_set():  # between the reply and the cancelling: the process is not to be used again
            self._process.wait()

    def _expire(self) -> None:
        self._expired.set()
        self._process.kill()

    def send(self, content: bytes, media_type: str, name: str) -> None:
        """Send a document; the first one with the settings before it."""
        requests = cast("BinaryIO", self._process.stdin)
        if self._settings is not None:
            write_frame(requests, self._settings)
            self._settings = None
        write_frame(requests, {"media_type": media_type, "name": name}, content)

    def reply(self, most_bytes: int) -> tuple[dict[str, object], str]:
        """Wait for the text; one larger than `most_bytes` is no reply."""
        facts_bytes, text_bytes = HEADER.unpack(self._exactly(HEADER.size))
        if facts_bytes > _MAX_FACTS_BYTES or text_bytes > most_bytes:
            raise ValueError("the reply is larger than the limits")
        facts = json.loads(self._exactly(facts_bytes))
        return facts, self._exactly(text_bytes).decode()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast("BinaryIO", pipe).close()
        self._complaints.close()
        self._folder.cleanup()

    def _exactly(self, length_bytes: int) -> bytes:
        data = cast("BinaryIO", self._process.stdout).read(length_bytes)
        if len(data) < length_bytes:
            raise EOFError
        return data

    def _crash(self, error: Exception) -> ParserCrashedError:
        if self._expired.is_set():
            return ParserCrashedError(f"the parser took longer than {self._limits.seconds:g} s", hint=raising("seconds"))
        if isinstance(error, ValueError):
            return ParserCrashedError("the parser process sent what is no reply", hint="leave this document out")
        try:
            code = self._process.wait(timeout=_DYING_S)
        except subprocess.TimeoutExpired:  # it has only closed its pipe
            self._process.kill()
            code = self._process.wait()
        self._complaints.seek(0)
        complaints = self._complaints.read()[-2000:].decode(errors="replace").strip()
        if code == OUT_OF_MEMORY or _OUT_OF_MEMORY.search(complaints):
            most = f"{self._limits.memory_bytes >> 20:,} MiB"
            return ParserCrashedError(f"the parser needs more than {most} of memory", hint=raising("memory_bytes"))
        cause = f"signal {-code}" if code < 0 else f"exit status {code}"
        line = f": {complaints.splitlines()[-1][:200]}" if complaints else ""
        return ParserCrashedError(f"the parser process ended with {cause}{line}", hint="leave this document out")
