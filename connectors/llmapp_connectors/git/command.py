"""The command ``git``, called so that it runs nothing else.

Knows the command and not what it is asked. It gets an environment of its own: no settings of the user or the system, no
hooks, no prompts, and no transport but the one that is named. A repository's own settings can name programs, for filters,
hooks and transports; plumbing that is called in this way runs none of them.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from llmapp.connector import ConnectorAuthError, ConnectorError, SourceNotFoundError, SourceUnavailableError

_OPERATORS_OWN = frozenset({"GIT_SSH_COMMAND", "GIT_SSL_CAINFO"})  # how to get out of the operator's network
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://|ssh://(?:\w[\w.+-]*@)?)[\w\[][^\s@/\\?#]*(?:/[^\s\\?#]*)?"
    r"|\w[\w.+-]*@\w[\w.-]*:[^\s:-][^\s:]*"  # user@host:path, which is ssh
)
_SAID_BYTES = 10_000
_REASONS: tuple[tuple[type[ConnectorError], tuple[str, ...], str], ...] = (
    (
        ConnectorAuthError,
        (
            "Authentication failed",
            "could not read ",
            "error: 401",
            "error: 403",
            "Permission denied (",
            "verification failed",
        ),
        "check the token, or the key and the known hosts of ssh",
    ),
    (
        SourceNotFoundError,
        ("not found", "error: 404", "couldn't find remote ref", "not our ref", "does not appear to be a git repository"),
        "check url and ref; a token may be needed to see it",
    ),
    (ConnectorError, ("error: 301", "error: 302", "error: 307", "error: 308"), "write the address that it redirects to"),
    (ConnectorError, (".lock'",), "if no other run uses the cache folder, remove it"),
)


def transport(url: str) -> str:
    """The transport that an address names; empty for an address that is not fetched, or that has room for a secret."""
    match = _ADDRESS.fullmatch(url) if url.isprintable() else None
    return (match["scheme"] or "ssh") if match else ""


def takes_token(url: str) -> bool:
    """Whether nobody on the way to an address can read a token that is sent there."""
    return transport(url) == "https" or (transport(url) == "http" and urlsplit(url).hostname in _LOOPBACK)


@dataclass(frozen=True)
class GitCommand:
    """The command for one repository."""

    folder: Path
    """Where objects and refs are: ``.git`` of a checkout, or a bare repository."""
    timeout_s: float
    """Seconds that one call may take."""
    protocol: str = ""
    """The only transport that may be used, e.g. ``https``; empty allows none."""
    login: str = field(default="", repr=False)
    """``user:token`` for HTTP; empty sends none."""

    def run(self, command: str, *arguments: str) -> bytes:
        """What a call puts out.

        Raises:
            ConnectorError: It failed; the class says why.
        """
        # What git says goes to a file: a transport that outlives it would hold a pipe open.
        with (
            tempfile.TemporaryFile() as said,
            self.start(command, *arguments, stdin=subprocess.DEVNULL, stderr=said) as git,
        ):
            try:
                shown, _ = git.communicate(timeout=self.timeout_s)
            except subprocess.TimeoutExpired:
                raise SourceUnavailableError(f"git {command} took longer than {self.timeout_s:g} s") from None
            finally:
                git.kill()
            if git.returncode:
                said.seek(0)
                raise self._error(command, said.read(_SAID_BYTES).decode(errors="replace"))
            return shown

    def start(self, *arguments: str, stdin: int, stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """A process whose output is a pipe; the caller ends it."""
        environment = _environment(self.folder, self.protocol, self._authorization)
        try:
            return subprocess.Popen(  # noqa: S603 - a list, in which nothing from outside can be an option
                ("git", *arguments),  # noqa: S607 - the one that the operator has on the path
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,  # no terminal, so ssh cannot ask
            )
        except FileNotFoundError as error:
            raise ConnectorError("the command git is not installed", hint="install git 2.32 or newer") from error

    @property
    def _authorization(self) -> str:
        return f"Basic {base64.b64encode(self.login.encode()).decode()}" if self.login else ""

    def _error(self, command: str, said: str) -> ConnectorError:
        for secret in filter(None, (self.login.partition(":")[2], self._authorization.partition(" ")[2])):
            said = said.replace(secret, "…")
        told = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
        reason = "".join(c for c in " ".join(told or ["fatal: no reason given"]) if c.isprintable())
        for kind, signs, hint in _REASONS:
            if any(sign in said for sign in signs):
                return kind(f"git {command}: {reason}", hint=hint)
        kind = SourceUnavailableError if command == "fetch" else ConnectorError
        return kind(f"git {command}: {reason}", hint="check path, url and ref")


def _environment(folder: Path, protocol: str, authorization: str) -> dict[str, str]:
    settings = {"core.hooksPath": os.devnull, "http.followRedirects": "false", "credential.helper": "", "gc.auto": "0"}
    if authorization:  # here and not among the arguments, which every user of the machine can list
        settings["http.extraHeader"] = f"Authorization: {authorization}"
    made = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in _OPERATORS_OWN}
    made |= {"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    made |= {
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    for number, (key, value) in enumerate(settings.items()):
        made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return made | {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_DIR": str(folder)}  # named, so none is looked for further up
