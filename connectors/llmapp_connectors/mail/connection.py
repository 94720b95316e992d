"""A connection to an IMAP server, encrypted unless asked otherwise, and logged in.

Knows certificates, logins and the ways in which both fail. What a server says in words is never repeated: it might repeat
the password.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from llmapp.connector import ConnectorAuthError, ConnectorError, SourceUnavailableError

NOT_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|OVERQUOTA)\]")
"""What a server answers that may take the same command later."""

_PORTS = {"tls": 993, "starttls": 143, "none": 143}
_FOREIGN = re.compile(r"&|[^\x20-\x7e]+")

Encryption = Literal["tls", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who reads."""

    user: str
    secret: str = field(repr=False)
    is_oauth: bool


@contextlib.contextmanager
def connected(
    host: str, port: int | None, encryption: Encryption, login: Login, timeout_s: float
) -> Iterator[imaplib.IMAP4]:
    """Connect, log in, and log out at the end.

    Raises:
        ConnectorAuthError: The server refused the login, or its certificate is not trusted.
        SourceUnavailableError: It does not answer, or hung up.
        ConnectorError: It does not speak IMAP, or not as it should.
    """
    try:
        client = _open(host, port or _PORTS[encryption], encryption, timeout_s)
        try:
            _authenticate(client, login)
            yield client
            with contextlib.suppress(imaplib.IMAP4.error):  # all was read
                client.logout()
        finally:
            with contextlib.suppress(OSError):  # closed before
                client.shutdown()
    except ssl.SSLCertVerificationError as error:
        raise ConnectorAuthError(f"the certificate of {host} is not trusted: {error.verify_message}") from None
    except imaplib.IMAP4.abort:
        raise SourceUnavailableError(f"{host} hung up") from None
    except (imaplib.IMAP4.error, ValueError):
        raise ConnectorError(f"{host} did not take a command", hint="is it an IMAP server, and the port right?") from None
    except OSError as error:
        raise SourceUnavailableError(f"{host} does not answer: {error.strerror or type(error).__name__}") from None


def _open(host: str, port: int, encryption: Encryption, timeout_s: float) -> imaplib.IMAP4:
    if encryption == "tls":
        return imaplib.IMAP4_SSL(host, port, ssl_context=ssl.create_default_context(), timeout=timeout_s)
    client = imaplib.IMAP4(host, port, timeout=timeout_s)
    if encryption == "starttls":
        try:
            client.starttls(ssl.create_default_context())
        except BaseException:
            with contextlib.suppress(OSError):  # already closed
                client.shutdown()
            raise
    return client


def _authenticate(client: imaplib.IMAP4, login: Login) -> None:
    answers = {
        "XOAUTH2": f"user={login.user}\1auth=Bearer {login.secret}\1\1",
        "PLAIN": f"\0{login.user}\0{login.secret}",
    }
    try:
        if login.is_oauth:
            once = iter([answers["XOAUTH2"].encode()])  # a refusal comes as another question, to be answered with nothing
            client.authenticate("XOAUTH2", lambda _: next(once, b""))
        elif "AUTH=PLAIN" in client.capabilities:
            client.authenticate("PLAIN", lambda _: answers["PLAIN"].encode())
        else:
            client.login(quoted(login.user), login.secret)
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, UnicodeError) as error:
        if NOT_NOW.search(str(error)):
            raise SourceUnavailableError("the server takes no login now") from None
        raise ConnectorAuthError(f"the server refused the login of {login.user}", hint="check user and password") from None


def quoted(name: str) -> str:
    """A name as an argument of a command; letters beyond ASCII in the UTF-7 of RFC 3501, section 5.1.3."""
    escaped = _FOREIGN.sub(_in_utf7, name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _in_utf7(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    return f"&{base64.b64encode(found[0].encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"
