"""The parts of the settings of the `rest` connector: how it asks, how it turns pages, and where a document stands.

Knows no network.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, SecretStr

from llmapp_connectors.rest.expressions import Expression
from llmapp_connectors.rest.templates import filled


class _Part(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """A part of the settings; a misspelt key is an error."""


def secret_of(token: SecretStr | None) -> str:
    """The token as it is sent, without the line end that a file or a shell leaves behind it; empty when there is none."""
    return token.get_secret_value().strip() if token else ""


class Auth(_Part, frozen=True):
    """How the token is sent."""

    kind: Literal["bearer", "basic", "header", "query"] = "bearer"
    """`basic` sends `user` and the token; `header` and `query` send the token under `name`."""
    user: str = ""
    name: str = ""

    def headers(self, token: SecretStr | None) -> dict[str, str]:
        """The headers that carry the token."""
        secret = secret_of(token)
        basic = base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        carried = {"bearer": ("Authorization", f"Bearer {secret}"), "basic": ("Authorization", f"Basic {basic}")}
        name, value = carried.get(self.kind, (self.name, secret))
        return {name: value} if secret and self.kind != "query" else {}

    def params(self, token: SecretStr | None) -> dict[str, str]:
        """The query parameters that carry the token."""
        secret = secret_of(token)
        return {self.name: secret} if secret and self.kind == "query" else {}


class Paging(_Part, frozen=True):
    """How the next page is asked for."""

    kind: Literal["none", "link", "next", "token", "page", "offset"] = "none"
    """The ``Link`` header; an address in the answer; a token in the answer; a page number; a number of items."""
    at: Expression | None = None
    """`next`, `token`: where address or token stands. `page`, `offset`: where the number of all items stands; without it
    the first empty page is the last."""
    more: Expression | None = None
    """True where a further page is promised: an answer that promises one and does not lead to it is an error."""
    param: str = ""
    """`token`, `page`, `offset`: the parameter that is sent."""
    first: int = 1
    """`page`: number of the first page."""
    max_pages: int = Field(default=10_000, gt=0)
    """A list that is longer is an error. Count."""


class Request(_Part, frozen=True):
    """A list of items, page by page: GET, or POST when there is a body."""

    path: str
    """Below the base address; ``{id}`` stands for the id of an item."""
    params: Mapping[str, str | int | bool] = {}
    body: Mapping[str, JsonValue] | None = None
    """JSON. Where there is one, it takes all parameters too."""
    items: Expression = "@"
    """Where the list stands in an answer."""
    paging: Paging = Paging()


class Detail(Request, frozen=True):
    """A request for each item that is new or has changed; an item has what it brings at ``detail``, a list."""

    when: Expression | None = None
    """True for an item that has more; None asks for every one."""


class Item(_Part, frozen=True):
    """Where a document stands in an item."""

    id: Expression
    uri: Expression
    text: Expression
    """Text, or a list of texts, which are joined."""
    media_type: str = "text/plain"
    title: Expression | None = None
    time: Expression | None = None
    """When it last changed: ISO 8601, or a number since 1970."""
    revision: Expression | None = None
    """Any value that changes with the document; None takes `time`."""
    skip: Expression | None = None
    """True for an item that is no document."""
    deleted: Expression | None = None
    """True for an item that says that its document is gone."""
    metadata: Mapping[str, Expression] = {}
    acl: Expression | None = None
    """Grants that may read it, text or list; null is nobody. None takes the access list of the source."""


class Incremental(_Part, frozen=True):
    """How a later read brings less."""

    params: Mapping[str, str] = {}
    """Added to the listing when there is a cursor; ``{since}`` stands for it."""
    format: Literal["iso", "epoch_s", "epoch_ms"] = "iso"
    overlap_s: float = Field(default=300, ge=0)
    """How far to go back behind the cursor, for what the API shows late. Seconds."""
    newest_first: bool = False
    """Whether the newest come first: the read ends after the page that goes back behind the cursor."""

    def start_s(self, since_s: float) -> float:
        """Where a read begins that goes on from a cursor. Seconds since 1970."""
        return max(0.0, since_s - self.overlap_s)

    def asked(self, since_s: float) -> dict[str, str]:
        """The parameters that go on from a cursor."""
        start_s = self.start_s(since_s)
        written = {
            "iso": datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "epoch_s": f"{start_s:.6f}",
            "epoch_ms": str(int(start_s * 1000)),
        }[self.format]
        return {name: filled(template, {"since": written}) for name, template in self.params.items()}


class Refusals(_Part, frozen=True):
    """How an API says that it failed in an answer whose status says that it did not."""

    at: Expression
    """True where it failed; the reason, when it is text."""
    auth: tuple[str, ...] = ()
    """Reasons that concern the credentials."""
    unavailable: tuple[str, ...] = ()
    """Reasons that pass."""
