"""What is asked of an IMAP server: which mails a folder holds, and their bytes.

Knows the commands and nothing of documents. Folders are opened with EXAMINE and mails fetched with PEEK, so that nothing is
marked as seen.
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from email.utils import format_datetime

from llmapp.connector import ConnectorError, SourceNotFoundError, SourceUnavailableError
from llmapp_connectors.mail import uid_ranges
from llmapp_connectors.mail.connection import NOT_NOW, quoted

_LISTED_AT_ONCE = 50_000  # numbers in one line of an answer, of which imaplib takes a million characters
_UID, _SIZE = re.compile(rb"\bUID (\d+)"), re.compile(rb"\bRFC822\.SIZE (\d+)")


class Session:
    """A connection on which one folder at a time is open."""

    def __init__(self, client: imaplib.IMAP4) -> None:
        """Take a connection that is logged in."""
        self._client = client
        self._exists = self._uidnext = 0

    def examine(self, folder: str) -> int:
        """Open a folder for reading and give its UIDVALIDITY.

        Raises:
            SourceNotFoundError: The server has no such folder, or does not show it.
            SourceUnavailableError: It cannot be opened now.
        """
        status, answer = self._client.select(quoted(folder), readonly=True)
        if status != "OK":
            if NOT_NOW.search(str(answer)):
                raise SourceUnavailableError(f"the folder {folder} cannot be opened now")
            raise SourceNotFoundError(f"the server opens no folder {folder}", hint="write its full name, as in Archive/2026")
        self._exists, self._uidnext = int(answer[0] or 0), self._number("UIDNEXT", folder)
        return self._number("UIDVALIDITY", folder)

    def _number(self, name: str, folder: str) -> int:
        numbers = self._client.response(name)[1]
        if not numbers or not numbers[-1]:
            raise ConnectorError(f"the server gives no {name} for {folder}", hint="it cannot be read in steps")
        return int(numbers[-1])

    def uids(self, since: date | None) -> set[int]:
        """The UIDs of all mails of the open folder, or of those that came on a day or later.

        Raises:
            SourceUnavailableError: The listing is incomplete.
        """
        day = ["SINCE", "-".join(format_datetime(datetime.combine(since, time())).split()[1:4])] if since else []
        spans = [f"{low}:{low + _LISTED_AT_ONCE - 1}" for low in range(1, self._uidnext, _LISTED_AT_ONCE)]
        parts = [["UID", span] for span in spans] if self._exists > _LISTED_AT_ONCE else [["ALL"]]
        lines = [line for part in parts for line in self._ask("SEARCH", *part, *day) if isinstance(line, bytes)]
        found = {int(uid) for line in lines for uid in line.split()}
        removed = sum(number is not None for number in self._client.response("EXPUNGE")[1])
        if not since and len(found) < self._exists - removed:  # what is not listed would be deleted
            raise SourceUnavailableError(f"the server counts {self._exists:,} mails and lists {len(found):,}")
        return found

    def sizes(self, uids: Iterable[int]) -> dict[int, int]:
        """The bytes of mails by UID; one that has vanished is not among them."""
        lines = (line for line in self._ask("FETCH", uid_ranges.write(uids), "(UID RFC822.SIZE)") if isinstance(line, bytes))
        pairs = ((_UID.search(line), _SIZE.search(line)) for line in lines)
        return {int(uid[1]): int(size[1]) for uid, size in pairs if uid and size}

    def mails(self, uids: Iterable[int]) -> dict[int, bytes]:
        """Mails by UID; one that the server does not give is not among them."""
        wanted = sorted(uids)
        found = self._fetched(wanted)
        for uid in wanted:  # some servers refuse all for one that they cannot read
            if uid not in found:
                found |= self._fetched([uid])
        return found

    def _fetched(self, uids: Sequence[int]) -> dict[int, bytes]:
        answer = self._client.uid("FETCH", uid_ranges.write(uids), "(UID BODY.PEEK[])")[1] if uids else []
        found: dict[int, bytes] = {}
        for item, rest in zip(answer, [*answer[1:], b""], strict=True):
            if isinstance(item, tuple) and b"BODY[]" in item[0]:
                uid = _UID.search(item[0]) or _UID.search(rest if isinstance(rest, bytes) else b"")
                found |= {int(uid[1]): item[1]} if uid else {}
        return found

    def _ask(self, command: str, *arguments: str) -> list[object]:
        status, answer = self._client.uid(command, *arguments)
        if status != "OK":
            raise SourceUnavailableError(f"the server refused {command}")
        return list(answer)
