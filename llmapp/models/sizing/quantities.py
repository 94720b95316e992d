"""Amounts of memory and of parameters, as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

from llmapp.errors import InvalidRequestError

GB = 10**9
GIB = 2**30

_BYTES = {"MB": 10**6, "GB": GB, "TB": 10**12, "MIB": 2**20, "GIB": GIB, "TIB": 2**40}
_COUNTS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def memory_bytes(text: str) -> int:
    """Bytes of ``24GB`` (decimal) or ``24GiB`` (binary).

    Raises:
        InvalidRequestError: It is no amount of memory.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([MGT]i?B)\s*", text, re.IGNORECASE)
    if found is None or not (amount := int(Decimal(found[1]) * _BYTES[found[2].upper()])):
        raise InvalidRequestError(f"{text!r} is no amount of memory", hint="write it like 24GB (10^9 bytes) or 24GiB (2^30)")
    return amount


def parameters_of(text: str) -> int | None:
    """Parameters of ``7B``, ``0.5B`` or ``350M``; None where that is something else, such as a name.

    Raises:
        InvalidRequestError: It is written like ``8x7B``, which is no number of parameters.
    """
    if re.fullmatch(r"\d+x\d+(\.\d+)?B", text, re.IGNORECASE):
        raise InvalidRequestError(
            f"{text} is not {text[0]} times the rest: experts share their attention",
            hint="give all parameters, e.g. 46.7B for Mixtral-8x7B, or the model's name",
        )
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT])", text, re.IGNORECASE)
    return int(Decimal(found[1]) * _COUNTS[found[2].upper()]) or None if found else None


def written(amount_bytes: float) -> str:
    """An amount in GiB and in GB, e.g. ``14.96 GiB (16.06 GB)``."""
    return f"{amount_bytes / GIB:,.2f} GiB ({amount_bytes / GB:,.2f} GB)"
