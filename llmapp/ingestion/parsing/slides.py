"""OpenDocument presentations as Markdown: a heading for each slide, then its text, tables as rows.

Reads ``content.xml`` event by event, so nesting costs nothing. A file with a document type is refused: no office program
writes one, and entities that grow are declared there.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from xml.parsers import expat

from llmapp.errors import ParseError

_SAVE_AGAIN = "open it in its own program and save it again"
_DRAW = "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0 "
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0 "
_CLASS = "urn:oasis:names:tc:opendocument:xmlns:presentation:1.0 class"
_SPACES = frozenset({f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break"})
_PARAGRAPHS = frozenset({f"{_TEXT}p", f"{_TEXT}h"})
_CELLS = frozenset({f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"})


def slides(content: bytes) -> str:
    """The text of a presentation.

    Raises:
        ParseError: It is broken, or not what an office program writes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as office:
            content_xml = office.read("content.xml")  # its size was checked, and memory is limited
    except (zipfile.BadZipFile, KeyError, RuntimeError, ValueError, EOFError, zlib.error, NotImplementedError) as error:
        raise ParseError(f"no content.xml can be unpacked from it: {error}", hint=_SAVE_AGAIN) from error
    return _read(content_xml)


def _read(content_xml: bytes) -> str:
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.take
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content_xml, True)
    except expat.ExpatError as error:
        raise ParseError(f"its content.xml is broken: {error}", hint=_SAVE_AGAIN) from error
    return "\n\n".join(reader.blocks)


def _refuse(*_: object) -> None:
    raise ParseError("its content.xml declares a document type", hint=_SAVE_AGAIN)


class _Reader:
    """Collects blocks: headings of slides, paragraphs, tables."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._line: list[str] = []
        self._cell: list[str] | None = None
        self._row: list[str] = []
        self._rows: list[list[str]] = []
        self._slide = (0, "")  # where its blocks begin, and its name
        self._awaits_title = False
        self._has_title = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in _PARAGRAPHS:
            self._line = []
        elif name in _SPACES:
            self._line.append(" ")
        elif name in _CELLS:
            self._cell = []
        elif name == f"{_DRAW}frame":
            self._awaits_title = attributes.get(_CLASS) == "title"
        elif name == f"{_DRAW}page":
            self._slide = (len(self.blocks), attributes.get(f"{_DRAW}name", ""))
            self._has_title = False

    def take(self, text: str) -> None:
        self._line.append(text)

    def end(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self._end_paragraph()
        elif name in _CELLS:
            self._row.append(" ".join(self._cell or []).replace("|", "\\|"))
            self._cell = None
        elif name == f"{_TABLE}table-row":
            self._rows.append(self._row)
            self._row = []
        elif name == f"{_TABLE}table":
            self._end_table()
        elif name == f"{_DRAW}page":
            self._end_slide()

    def _end_paragraph(self) -> None:
        text = " ".join("".join(self._line).split())
        self._line = []
        if not text:
            return
        if self._cell is not None:
            self._cell.append(text)
        elif self._awaits_title and not self._has_title:
            self.blocks.append(f"## {text}")
            self._has_title = True
        else:
            self.blocks.append(text)

    def _end_table(self) -> None:
        rows, self._rows = self._rows, []
        if any(any(row) for row in rows):
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            self.blocks.append("\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]))

    def _end_slide(self) -> None:
        begins, name = self._slide
        if name and not self._has_title and len(self.blocks) > begins:
            self.blocks.insert(begins, f"## {name}")
