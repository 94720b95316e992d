"""Mail of an IMAP server.

Knows which mails there are and which are new; the protocol is in `llmapp_connectors.mail.session`, what a mail is made of
in `llmapp_connectors.mail.messages`. Nothing on the server is changed: folders are opened for reading, and no mail becomes seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from llmapp.connector import Change, Checkpoint, Cursor, CursorRejectedError, Delete, Failure, Upsert
from llmapp_connectors.mail import uid_ranges
from llmapp_connectors.mail.connection import Encryption, Login, connected
from llmapp_connectors.mail.messages import changes
from llmapp_connectors.mail.session import Session

_BATCH_BYTES = 16_000_000
_BATCH_MAILS = 250
_CURSOR = TypeAdapter(dict[str, tuple[int, dict[int, str]]])


Known = dict[str, tuple[int, dict[int, int]]]
"""By folder: its UIDVALIDITY, and how many documents are attached to each mail that was read."""


class Imap(BaseModel, frozen=True):
    """Mails of some folders and what is attached to them, oldest first.

    A mail is named by folder, UIDVALIDITY and UID. The cursor keeps which mails were read, so that new ones and vanished
    ones are seen by comparing; when a folder gets another UIDVALIDITY, all its mails are new.
    """

    host: str
    """Name of the server."""
    user: str
    """Name of the account."""
    password: SecretStr | None = None
    """Either `password` or `oauth_token`."""
    oauth_token: SecretStr | None = None
    """An access token, for XOAUTH2."""
    folders: tuple[str, ...] = ("INBOX",)
    """Folders by their full names."""
    since: date | None = None
    """Only mails that came to the server on this day or later; None reads all."""
    encryption: Encryption = "tls"
    """``none`` sends the password readable for everyone on the way."""
    port: int | None = Field(default=None, gt=0, lt=65_536)
    """None is 993 for tls, else 143."""
    max_bytes: int = Field(default=50_000_000, gt=0)
    """A larger mail is a failure. Bytes."""
    timeout_s: float = Field(default=60, gt=0)
    """Seconds that the server may be silent."""

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.password is None) == (self.oauth_token is None):
            raise PydanticCustomError("secret", "give password or oauth_token")
        return self

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield, folder by folder, what is gone and what is new, with a checkpoint after every few mails.

        Raises:
            CursorRejectedError: The cursor is of another connector.
            ConnectorError: The server cannot be read; the class says why.
        """
        known = _parsed(cursor)
        with connected(self.host, self.port, self.encryption, self._login, self.timeout_s) as client:
            for folder in self.folders:
                yield from self._folder(Session(client), folder, known)
        yield Checkpoint(_written(known))

    @property
    def _login(self) -> Login:
        secret = self.password or self.oauth_token or SecretStr("")
        return Login(self.user, secret.get_secret_value(), is_oauth=self.password is None)

    def _folder(self, session: Session, folder: str, known: Known) -> Iterator[Change]:
        validity = session.examine(folder)
        before, mails = known.get(folder, (validity, {}))
        listed = session.uids(self.since)
        for uid in sorted(mails if before != validity else mails.keys() - listed):
            yield from map(Delete, _ids(folder, before, uid, mails.pop(uid)))
        known[folder] = (validity, mails)
        for batch in _batches(session, sorted(listed - mails.keys())):
            found = session.mails(uid for uid, size in batch.items() if size <= self.max_bytes)
            for uid, size_bytes in batch.items():
                brought = self._brought(found.get(uid), size_bytes, folder, (validity, uid))
                mails[uid] = len(brought) - 1
                yield from brought
            yield Checkpoint(_written(known))

    def _brought(self, raw: bytes | None, size_bytes: int, folder: str, place: tuple[int, int]) -> list[Upsert | Failure]:
        mail_id, *_ = _ids(folder, *place, 0)
        uri = f"imap://{self.host}/{quote(folder)};UIDVALIDITY={place[0]}/;UID={place[1]}"
        if size_bytes > self.max_bytes:
            return [Failure(mail_id, f"{size_bytes:,} bytes, the limit is {self.max_bytes:,}", uri=uri, remembered=True)]
        return [Failure(mail_id, "the server does not give it", uri=uri)] if raw is None else changes(raw, mail_id, uri)


def _ids(folder: str, validity: int, uid: int, attached: int) -> list[str]:
    mail_id = f"{folder}/{validity}/{uid}"
    return [mail_id, *(f"{mail_id}/{number}" for number in range(1, attached + 1))]


def _batches(session: Session, uids: Sequence[int]) -> Iterator[dict[int, int]]:
    """Sizes of mails by UID, in groups that are fetched together; mails that have vanished are left out."""
    for start in range(0, len(uids), _BATCH_MAILS):
        batch: dict[int, int] = {}
        for uid, size_bytes in sorted(session.sizes(uids[start : start + _BATCH_MAILS]).items()):
            if batch and sum(batch.values()) + size_bytes > _BATCH_BYTES:
                yield batch
                batch = {}
            batch[uid] = size_bytes
        if batch:
            yield batch


def _parsed(cursor: Cursor | None) -> Known:
    try:
        stored = _CURSOR.validate_python(cursor or {}, strict=False)
        return {
            folder: (validity, {uid: attached for attached, spans in mails.items() for uid in uid_ranges.read(spans)})
            for folder, (validity, mails) in stored.items()
        }
    except ValueError as error:  # pydantic's own is one
        raise CursorRejectedError("the cursor is not one of IMAP") from error


def _written(known: Known) -> Cursor:
    """Per folder its UIDVALIDITY, and the UIDs by the number of documents that are attached to the mail."""
    return {
        folder: [
            validity,
            {str(n): uid_ranges.write(u for u, m in mails.items() if m == n) for n in sorted({*mails.values()})},
        ]
        for folder, (validity, mails) in known.items()
    }
