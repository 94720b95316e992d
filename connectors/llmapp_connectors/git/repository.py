"""A repository as git stores it: commits, the files of a commit, their contents. Knows nothing of documents."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from llmapp.connector import ConnectorError, SourceNotFoundError
from llmapp_connectors.git.command import GitCommand

_FILE_MODES = frozenset({b"100644", b"100755", b"100664"})  # the last is of very old repositories
_TIP = "refs/llmapp/tip"


@dataclass(frozen=True, slots=True)
class Blob:
    """The content of a file as git stores it."""

    id: str
    size_bytes: int
    """0 where the content is missing from the repository."""


class Repository:
    """A repository in a folder of this machine."""

    def __init__(self, git: GitCommand) -> None:
        """Take the command for it."""
        self._git = git

    def fetch(self, url: str, ref: str) -> str:
        """Bring one commit of a remote, without its history, and give its id; the folder is made when it is missing.

        Raises:
            ConnectorError: It cannot be fetched; the class says why.
        """
        self._git.run("init", "--quiet", "--bare", "--template=", "--", str(self._git.folder))
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        self._git.run("fetch", *options, "--end-of-options", url, f"+{ref}:{_TIP}")
        return self.commit(_TIP)

    def commit(self, name: str) -> str:
        """The id of the commit that `name` stands for.

        Raises:
            SourceNotFoundError: There is none.
        """
        try:
            return self._git.run("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        except ConnectorError as error:
            raise SourceNotFoundError(f"no commit {name} ({error.message})", hint="check ref") from error

    def has(self, commit: str) -> bool:
        """Whether a commit of this id is here."""
        try:
            self._git.run("cat-file", "-e", f"{commit}^{{commit}}")
        except ConnectorError:
            return False
        return True

    def files(self, commit: str) -> dict[str, Blob]:
        """Every regular file of a commit by its path; links and submodules are left out.

        Raises:
            ConnectorError: A part of the commit is missing.
        """
        found = {}
        for entry in self._git.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0")[:-1]:
            facts, _, path = entry.partition(b"\t")
            mode, _, blob, size = facts.split()
            if mode in _FILE_MODES:
                found[path.decode(errors="backslashreplace")] = Blob(blob.decode(), int(size) if size.isdigit() else 0)
        return found

    @contextlib.contextmanager
    def reader(self) -> Iterator[Callable[[Blob], bytes | None]]:
        """A function that reads a blob, None where it is missing; one process serves all calls."""
        process = self._git.start("cat-file", "--batch", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            yield partial(_read, cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout))
        finally:
            process.kill()
            process.communicate()


def git_folder(path: Path) -> Path:
    """Where a local repository keeps its objects and refs.

    Raises:
        SourceNotFoundError: It is none.
    """
    if (path / ".git").exists():
        return (path / ".git").absolute()
    if (path / "HEAD").is_file() and (path / "objects").is_dir():
        return path.absolute()
    raise SourceNotFoundError(f"{path} is no git repository", hint="name its top folder; glob chooses a part of it")


def _read(asked: IO[bytes], answers: IO[bytes], blob: Blob) -> bytes | None:
    with contextlib.suppress(BrokenPipeError):  # then there is no answer either
        asked.write(f"{blob.id}\n".encode())
        asked.flush()
    header = answers.readline().split()
    if header[1:] == [b"missing"]:
        return None
    content = answers.read(int(header[2]) + 1) if header else b""
    if not content.endswith(b"\n"):
        raise ConnectorError("git cat-file stopped", hint="check the repository with git fsck")
    return content[:-1]
