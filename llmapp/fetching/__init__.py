"""The one client for outside HTTP, safe to point at an address that somebody else has written.

What it promises, for every request and for every redirect of it:

- A name is resolved once, when its connection is made, and the connection goes to the very addresses that were
  judged: a name that answers differently the second time gains nothing. TLS and ``Host`` keep the name. One forbidden
  address among those of a name refuses the name, because a mixed answer is how a rebinding attack looks.
- Private, loopback, link-local, multicast and reserved addresses are refused, however they are written or embedded.
  `allow_private` opens private and loopback ones, never the link-local ones where clouds keep their credentials.
- Credentials stay with the origin that they were given for, and no cookie is kept.
- Bytes, also decompressed ones, and the time of an attempt have a limit that no server can stretch, and a body that
  ends early is an error, not a short document.
- Messages name host and path; a query may hold secrets.

The environment is never read. That leaves out proxies on purpose: one would resolve the name again, by itself.
Knows HTTP, and nothing of sources or documents. Fails with the family of `ConnectorError`.
"""

from llmapp.fetching.answer import Fetched
from llmapp.fetching.fetcher import Fetcher
from llmapp.fetching.pool import FetcherPool

__all__ = ["Fetched", "Fetcher", "FetcherPool"]
