"""Office documents behind a password: the document inside, when one of the known passwords opens it.

The only importer of msoffcrypto. Tells neither which password fitted nor what was tried.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from llmapp.errors import ParseError


def protected() -> ParseError:
    """The error of a document that no known password opens."""
    return ParseError("it is protected by a password", hint="name its password in ingestion.passwords, or leave it out")


def is_encrypted(content: bytes) -> bool:
    """Whether an old office file is encrypted inside; False where that cannot be told."""
    try:
        import msoffcrypto

        return bool(msoffcrypto.OfficeFile(io.BytesIO(content)).is_encrypted())
    except Exception:  # noqa: BLE001 - a broken file fails in many ways, and its reader says it better
        return False


def decrypt(content: bytes, passwords: Sequence[str]) -> bytes:
    """The document inside an encrypted office file.

    Raises:
        ParseError: No password opens it, or the package that decrypts is not installed.
    """
    if not passwords:
        raise protected()
    try:
        import msoffcrypto
    except ImportError as error:
        raise ParseError(
            "it is protected by a password, and msoffcrypto is not installed", hint="pip install 'llmapp[office-passwords]'"
        ) from error
    for password in passwords:
        plain = io.BytesIO()
        try:
            office = msoffcrypto.OfficeFile(io.BytesIO(content))
            office.load_key(password=password)
            office.decrypt(plain)
        except Exception:  # noqa: BLE001, S112 - a wrong password shows in many ways, also as garbage that cannot be decrypted
            continue
        return plain.getvalue()
    raise protected()
