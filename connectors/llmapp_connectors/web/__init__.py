"""A web site, from a start page or a sitemap.

Its settings, and nothing else: `crawl` follows the links, `scope` knows what belongs to the site, `manners` asks for pages,
`pages` and `sitemaps` read them, `memory` is the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field, SecretStr

from llmapp.connector import Change, Cursor
from llmapp.fetching import Fetcher
from llmapp_connectors.web.crawl import Crawl
from llmapp_connectors.web.manners import Visitor
from llmapp_connectors.web.memory import unpacked
from llmapp_connectors.web.pages import normalised


class Web(BaseModel, frozen=True):
    """Pages and linked documents of a site, breadth first; the address after redirects is the id.

    An unchanged page costs one conditional request. One that is gone, or that nothing links to any more, is deleted.
    """

    start: str
    """A page whose links are followed, or a sitemap, or an index of sitemaps, whose pages are all that is read."""
    max_depth: int = Field(default=10, ge=0)
    """Links between the start page and a page."""
    max_pages: int = Field(default=10_000, gt=0)
    """Addresses that are visited; what a site has beyond them is no part of the source."""
    include: tuple[str, ...] = ("*",)
    """Paths that are read, as globs where ``*`` stands for anything; the start page is read for its links in any case."""
    exclude: tuple[str, ...] = ()
    """Paths that are not read."""
    same_site: bool = True
    """Whether links to other hosts are left alone; ``www.`` makes no other host."""
    allow_private: bool = False
    """Whether private and loopback addresses are fetched."""
    delay_s: float = Field(default=0.5, ge=0)
    """Least time between two requests; a robots.txt may ask for up to 30. Seconds."""
    user_agent: str = Field(default="llmapp", min_length=1)
    """The name in requests, and the one by which a robots.txt addresses the crawler."""
    authorization: SecretStr | None = None
    """Value of the header Authorization, sent to the origin of `start` only."""
    max_bytes: int = Field(default=50_000_000, gt=0)
    """A larger page is a failure. Bytes."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield what has changed, then what is gone; with a checkpoint now and then.

        Raises:
            SourceUnavailableError: The start page, a sitemap or the site's robots.txt does not answer, or so many pages that
                the site seems down.
            ConnectorError: The start page or a sitemap cannot be read.
        """
        known = unpacked(cursor)
        secret = self.authorization.get_secret_value() if self.authorization else None
        headers, home = {"user-agent": self.user_agent}, normalised(self.start) or ""
        with Fetcher(allow_private=self.allow_private, headers=headers, max_bytes=self.max_bytes) as fetcher:
            visitor = Visitor(fetcher, home=home, agent=self.user_agent, delay_s=self.delay_s, authorization=secret)
            yield from Crawl(self, visitor, known).changes()
