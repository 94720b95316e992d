"""The text files of a git repository at a ref.

Knows what is a text file and what has changed between two commits; the command is in `llmapp_connectors.git.repository`. A
change is a difference between what two commits list, so reading in steps and reading at once end in the same documents.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from llmapp.connector import (
    Change,
    Checkpoint,
    ConnectorError,
    Cursor,
    CursorRejectedError,
    Delete,
    Document,
    Failure,
    Upsert,
)
from llmapp_connectors.git.command import GitCommand, takes_token, transport
from llmapp_connectors.git.repository import Blob, Repository, git_folder
from llmapp_connectors.paths import is_wanted

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 8000  # as many as git looks at


class Git(BaseModel, frozen=True):
    """Text files of one commit, in the order of their paths; the cursor is the id of the commit.

    Left out are hidden files and folders, every ``llmapp.toml``, links, submodules, pointers of Git LFS, and what holds no
    text: binary and empty files. A file that becomes one of these is deleted.
    """

    path: Path | None = None
    """A repository on this machine: a checkout, of which only what is committed is read, or a bare one."""
    url: str | None = None
    """A repository elsewhere, by https or ssh. Either `path` or `url`."""
    ref: str = Field(default="HEAD", pattern=r"^\w[\w./@+=#-]*$")
    """Branch, tag or full commit id."""
    glob: str = "**/*"
    """Which files, by their path; ``**`` stands for any number of folders."""
    max_bytes: int = Field(default=10_000_000, gt=0)
    """A larger file is left out. Bytes."""
    token: SecretStr | None = None
    """For https."""
    user: str = "x-access-token"
    """The name that goes with `token`; most forges take any."""
    link: str | None = None
    """Address of a file for people, with ``{ref}`` and ``{path}``; None is that of GitHub and GitLab for https, else repository:path."""
    cache: Path | None = None
    """Folder that keeps what was fetched from `url`, so that the next run fetches only what is new; None keeps nothing."""
    timeout_s: float = Field(default=600, gt=0)
    """Seconds that one git command may take."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise PydanticCustomError("repository", "give path for a local repository, or url for a remote one")
        if self.url is not None and not transport(self.url):
            raise PydanticCustomError("url", "give an address of https or ssh, with nothing secret in it")
        if self.token and not takes_token(self.url or ""):
            raise PydanticCustomError("token", "a token is sent by https only")
        return self

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield what differs between the commit of the cursor and that of `ref`, then one checkpoint.

        Raises:
            CursorRejectedError: The commit of the cursor is gone.
            ConnectorError: The repository cannot be read; the class says why.
        """
        with self._repository() as repository:
            commit = repository.fetch(self.url, self.ref) if self.url else repository.commit(self.ref)
            if commit != cursor:
                yield from self._changes(repository, self._before(repository, cursor), self._files(repository, commit))
        yield Checkpoint(commit)

    @contextlib.contextmanager
    def _repository(self) -> Iterator[Repository]:
        if self.path is not None:
            yield Repository(GitCommand(git_folder(self.path), self.timeout_s))
            return
        name = hashlib.blake2b(f"{self.url} {self.ref}".encode(), digest_size=16).hexdigest()
        login = f"{self.user}:{self.token.get_secret_value()}" if self.token else ""
        with tempfile.TemporaryDirectory(prefix="llmapp-git-") as temporary:
            folder = (self.cache or Path(temporary)).absolute() / name
            yield Repository(GitCommand(folder, self.timeout_s, transport(self.url or ""), login))

    def _before(self, repository: Repository, cursor: Cursor) -> dict[str, Blob]:
        """The files of the commit of a cursor, which is fetched again where it is no longer kept."""
        if cursor is None:
            return {}
        if not isinstance(cursor, str) or not _COMMIT.fullmatch(cursor):
            raise CursorRejectedError("the cursor is no commit id")
        try:
            if self.url and not repository.has(cursor):
                repository.fetch(self.url, cursor)
            return self._files(repository, cursor)
        except ConnectorError as error:
            raise CursorRejectedError(f"the commit {cursor} is gone from the repository") from error

    def _files(self, repository: Repository, commit: str) -> dict[str, Blob]:
        files = repository.files(commit).items()
        return {name: blob for name, blob in files if blob.size_bytes <= self.max_bytes and is_wanted(name, self.glob)}

    def _changes(self, repository: Repository, before: dict[str, Blob], after: dict[str, Blob]) -> Iterator[Change]:
        with repository.reader() as read:
            for name in sorted(before.keys() | after.keys()):
                blob = after.get(name)
                if blob != before.get(name):
                    content = read(blob) if blob else b""
                    if content is None:
                        yield Failure(name, "its content is missing from the repository", uri=self._uri(name))
                    elif blob and _is_text(content):
                        yield Upsert(self._document(name, blob, content))
                    elif name in before:
                        yield Delete(name)

    def _document(self, name: str, blob: Blob, content: bytes) -> Document:
        return Document(
            id=name, uri=self._uri(name), content=lambda: content, revision=f"git:{blob.id}", metadata={"path": name}
        )

    def _uri(self, name: str) -> str:
        link, url = self.link, self.url or ""
        if not link and not url.startswith("http"):
            return f"{url or self.path}:{name}"
        link = link or f"{url.removesuffix('/').removesuffix('.git')}/blob/{{ref}}/{{path}}"
        return link.replace("{ref}", quote(self.ref)).replace("{path}", quote(name))


def _is_text(content: bytes) -> bool:
    is_binary = b"\0" in content[:_HEAD_BYTES] and not content.startswith(_BYTE_ORDER_MARKS)
    return not is_binary and bool(content.strip()) and not content.startswith(_LFS_POINTER)
