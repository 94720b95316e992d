"""Who pays for what is called: known from where the work was begun, not passed from call to call.

It belongs to the context that it was set in, which tasks and `asyncio.to_thread` copy; a thread of one's own needs
`contextvars.copy_context`. Whoever sets nothing spends for the application alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Self

from llmapp.costs.limits import APPLICATION
from llmapp.types import Principal


@dataclass(frozen=True, slots=True)
class Payer:
    """All who pay for a call; None and empty are nobody."""

    user: str | None = None
    """Id of the user who asks."""
    groups: tuple[str, ...] = ()
    """The user's groups; each pays in full."""
    tenant: str | None = None
    """The user's organisation."""
    key: str | None = None
    """Name, never the secret, of the access key that a request came in with."""
    source: str | None = None
    """The source that is being taken in."""
    request: str | None = None
    """Id of the piece of work that several calls are made for: a question, or an agent's task with all its steps."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that a call counts in, sorted, e.g. ``("application", "group:hr", "user:7")``."""
        names = {"key": self.key, "request": self.request, "source": self.source, "tenant": self.tenant, "user": self.user}
        own = {f"{scope}:{name}" for scope, name in names.items() if name is not None}
        return tuple(sorted({APPLICATION, *own, *(f"group:{name}" for name in self.groups)}))

    def asking(self, principal: Principal) -> Self:
        """The same for a question of this principal: a request of its own, unless it is a part of one."""
        return replace(
            self,
            user=principal.user,
            groups=principal.groups,
            tenant=principal.tenant,
            request=self.request or uuid.uuid4().hex,
        )


_NOBODY = Payer()
_current: ContextVar[Payer] = ContextVar("llmapp_payer", default=_NOBODY)


def payer() -> Payer:
    """Who pays here."""
    return _current.get()


@contextmanager
def paid_by(who: Payer) -> Iterator[None]:
    """Let this one pay for all guarded calls within the block."""
    token = _current.set(who)
    try:
        yield
    finally:
        _current.reset(token)
