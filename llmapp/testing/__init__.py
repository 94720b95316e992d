"""Public kits for those who build on llmapp: fakes of the ports, and contracts that an implementation must pass.

The contracts are tests to inherit from, and take pytest; they are loaded when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.testing.contracts import ConnectorContract, VectorIndexContract

__all__ = ["ConnectorContract", "VectorIndexContract"]


def __getattr__(name: str) -> object:
    """Load a contract."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llmapp.testing import contracts

    return getattr(contracts, name)
