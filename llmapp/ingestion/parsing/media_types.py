"""What a document is: by its content first, then by what its source declares, then by its name.

Knows signatures, names and which formats are read in which way; parses nothing. A file whose content contradicts its
name is taken by its content, so a page saved as ``report.pdf`` is read as the HTML that it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from llmapp.errors import UnsupportedMediaTypeError

Way = Literal["text", "html", "rows", "pages", "markdown", "slides", "subtitles", "archive"]
"""How a format becomes text: verbatim; HTML; one block a row; one text a page; rendered as Markdown; OpenDocument slides as
Markdown; what is said; the texts of its files under their paths."""

_OOXML = "application/vnd.openxmlformats-officedocument"
_DOCX, _PPTX, _XLSX = (
    f"{_OOXML}.wordprocessingml.document",
    f"{_OOXML}.presentationml.presentation",
    f"{_OOXML}.spreadsheetml.sheet",
)
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
_ODT, _ODS, _ODP = f"{_OPEN_DOCUMENT}.text", f"{_OPEN_DOCUMENT}.spreadsheet", f"{_OPEN_DOCUMENT}.presentation"
_EPUB, _RTF, _EMAIL, _NOTEBOOK = "application/epub+zip", "application/rtf", "message/rfc822", "application/x-ipynb+json"
_DOC, _PPT, _XLS, _MSG = (
    "application/msword",
    "application/vnd.ms-powerpoint",
    "application/vnd.ms-excel",
    "application/vnd.ms-outlook",
)
_VTT, _SRT = "text/vtt", "application/x-subrip"
_ZIP, _TAR, _GZIP = "application/zip", "application/x-tar", "application/gzip"
_BZIP2, _XZ = "application/x-bzip2", "application/x-xz"
ENCRYPTED_OFFICE = "application/x-encrypted-office"
"""An office document behind a password: an OLE container that holds nothing but the encrypted package."""

WAYS: dict[str, Way] = {
    "text/plain": "text",
    "text/markdown": "text",
    "text/html": "html",
    "text/csv": "rows",
    "text/tab-separated-values": "rows",
    "application/pdf": "pages",
    **dict.fromkeys((_DOCX, _PPTX, _XLSX, _ODT, _ODS, _EPUB, _RTF, _EMAIL, _NOTEBOOK, _DOC, _PPT, _XLS, _MSG), "markdown"),
    _ODP: "slides",
    **dict.fromkeys((_VTT, _SRT), "subtitles"),
    **dict.fromkeys((_ZIP, _TAR, _GZIP, _BZIP2, _XZ), "archive"),
}
"""Every media type that is read; `sniff` returns ``text/plain`` for all text that has no entry of its own."""

SPREADSHEETS = frozenset({_XLSX, _XLS, _ODS, "text/csv", "text/tab-separated-values"})
"""Types whose first heading names a sheet and not the document."""

ZIPPED_OFFICE = frozenset({_DOCX, _PPTX, _XLSX, _ODT, _ODS, _ODP, _EPUB})
"""Office formats that are zip archives."""
OLD_OFFICE = frozenset({_DOC, _PPT, _XLS})
"""Office formats that may be encrypted without showing it outside."""

_BY_SUFFIX = {
    ".md": "text/markdown", ".markdown": "text/markdown",
    ".html": "text/html", ".htm": "text/html", ".xhtml": "text/html",
    ".csv": "text/csv", ".tsv": "text/tab-separated-values",
    ".pdf": "application/pdf", ".rtf": _RTF, ".epub": _EPUB, ".ipynb": _NOTEBOOK,
    ".docx": _DOCX, ".pptx": _PPTX, ".xlsx": _XLSX, ".docm": _DOCX, ".pptm": _PPTX, ".xlsm": _XLSX,
    ".doc": _DOC, ".ppt": _PPT, ".xls": _XLS, ".msg": _MSG, ".odt": _ODT, ".ods": _ODS, ".odp": _ODP,
    ".eml": _EMAIL, ".mht": _EMAIL, ".mhtml": _EMAIL,
    ".vtt": _VTT, ".srt": _SRT, ".zip": _ZIP, ".tar": _TAR,
}  # fmt: skip
_TEXT_SUFFIXES = frozenset({".txt", ".text", ".log", ".rst", ".json", ".xml", ".yaml", ".yml", ".toml", ".mbox"})
_TEXTUAL = frozenset(
    {"text/plain", "text/markdown", "text/html", "text/csv", "text/tab-separated-values", _EMAIL, _NOTEBOOK, _VTT, _SRT}
)

_ZIP_MEMBERS = {b"word/document": _DOCX, b"ppt/presentation": _PPTX, b"xl/workbook": _XLSX}
_DECLARED = re.compile(rb"mimetype(application/[\w.+-]{1,80}?)(?:PK|\s)")
"""A zip of the kinds that say what they are says it in its first entry."""
_OLE_ENTRIES = {
    "EncryptedPackage": ENCRYPTED_OFFICE,
    "WordDocument": _DOC,
    "PowerPoint Document": _PPT,
    "__substg1.0_": _MSG,
    "Workbook": _XLS,
}
_SIGNATURES = {
    b"{\\rtf": _RTF,
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"\x1f\x8b": _GZIP,
    b"BZh": _BZIP2,
    b"\xfd7zXZ\0": _XZ,
    b"7z\xbc\xaf\x27\x1c": "application/x-7z-compressed",
    b"\x7fELF": "application/x-executable",
    b"SQLite format 3\0": "application/vnd.sqlite3",
}
_WITHOUT_HEADINGS = frozenset({"text/plain", "text/csv", "text/tab-separated-values", "application/pdf", _VTT, _SRT})
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL
)
_HEAD_BYTES = 4096


_CENTRAL_ENTRY = struct.Struct("<4s24xHHH12x")
_END_OF_ZIP = b"PK\5\6"
_MAX_ZIP_ENTRIES = 10_000
_TAR_MARK = slice(257, 262)


def has_headings(media_type: str | None) -> bool:
    """Whether the text of such a document may hold Markdown headings; None is text from a source, which may."""
    return media_type not in _WITHOUT_HEADINGS


def sniff(content: bytes, *, name: str, declared: str | None = None) -> str:
    """Find the media type of a document.

    Args:
        content: Its raw bytes.
        name: File name, path or uri.
        declared: Media type as its source declares it, parameters allowed; None when it says nothing.

    Returns:
        A key of `WAYS`, or `ENCRYPTED_OFFICE`.

    Raises:
        UnsupportedMediaTypeError: It is binary and no parser reads it.
    """
    claimed = _claimed(name, declared)
    found = _by_signature(content, claimed) or _by_text(content, claimed) or claimed
    if found in WAYS or found == ENCRYPTED_OFFICE:
        return found
    raise UnsupportedMediaTypeError(
        f"no parser reads {found or 'this binary format'}",
        hint="convert it to PDF, DOCX, HTML or text, or leave it out by the glob",
    )


def _claimed(name: str, declared: str | None) -> str | None:
    """The type that the source or the name claims; None when neither is known here."""
    said = (declared or "").partition(";")[0].strip().lower()
    if said in WAYS:
        return said
    suffix = PurePosixPath(name).suffix.lower()
    return _BY_SUFFIX.get(suffix) or ("text/plain" if suffix in _TEXT_SUFFIXES or said.startswith("text/") else None)


def _by_signature(content: bytes, claimed: str | None) -> str | None:
    if content.startswith((b"PK\x03\x04", _END_OF_ZIP)):  # before PDF, which may be packed inside
        return _by_zip(content, claimed)
    if content[_TAR_MARK] == b"ustar":
        return _TAR
    if b"%PDF-" in content[:1024]:
        return "application/pdf"
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        entries = {entry.encode("utf-16-le"): media_type for entry, media_type in _OLE_ENTRIES.items()}
        return _first(content, entries) or (None if claimed in _TEXTUAL else claimed) or "application/x-ole-storage"
    return next((media_type for magic, media_type in _SIGNATURES.items() if content.startswith(magic)), None)


def _by_zip(content: bytes, claimed: str | None) -> str:
    if declared := _DECLARED.search(content[:256]):
        return declared[1].decode("ascii")
    names = list(_zip_names(content))
    office = next((kind for name in names for mark, kind in _ZIP_MEMBERS.items() if name.startswith(mark)), None)
    if office or claimed in ZIPPED_OFFICE:
        return office or claimed or _ZIP
    return _OOXML if b"[Content_Types].xml" in names else _ZIP  # of its parts, nobody wrote one to be read


def _zip_names(content: bytes) -> Iterator[bytes]:
    """The names in the directory at the end of a zip; none when that is cut off.

    The directory alone is believed: further up, the names may be those of a document that is packed inside.
    """
    end = content.rfind(_END_OF_ZIP, -(1 << 16) - 22)
    if end < 0 or len(content) < end + 22:
        return
    position = int.from_bytes(content[end + 16 : end + 20], "little")
    for _ in range(_MAX_ZIP_ENTRIES):
        head = content[position : position + _CENTRAL_ENTRY.size]
        if len(head) < _CENTRAL_ENTRY.size or not head.startswith(b"PK\1\2"):
            return
        _, name_bytes, extra_bytes, comment_bytes = _CENTRAL_ENTRY.unpack(head)
        position += _CENTRAL_ENTRY.size
        yield content[position : position + name_bytes]
        position += name_bytes + extra_bytes + comment_bytes


def _first(content: bytes, marks: dict[bytes, str]) -> str | None:
    """The type of the mark that stands first: another document may be embedded further down."""
    places = {mark: place for mark in marks if (place := content.find(mark)) >= 0}
    return marks[min(places, key=places.__getitem__)] if places else None


def _by_text(content: bytes, claimed: str | None) -> str | None:
    """Text stays what it is claimed to be when that is a kind of text; None for what holds NUL bytes."""
    head = content[:_HEAD_BYTES]
    if b"\0" in head and not head.startswith(_BYTE_ORDER_MARKS):
        return None
    if _HTML.match(head) and claimed != _EMAIL:
        return "text/html"
    if head.removeprefix(_BYTE_ORDER_MARKS[0]).startswith(b"WEBVTT"):
        return _VTT
    return claimed if claimed in _TEXTUAL else "text/plain"
