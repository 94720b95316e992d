"""Where asynchronous work is done for those who wait for it: scripts and the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TypeVar

_T = TypeVar("_T")


class Loop:
    """An event loop in a thread of its own, for callers that have none: clients of providers belong to one loop."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llmapp", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[None, None, _T]) -> _T:
        """Do some work there and wait for it; what stops the waiting stops the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop what is running and end the thread."""
        self.run(_end_all_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def _end_all_tasks() -> None:
    """Cancel what is left and wait for it: the guard settles what a cancelled call has cost."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
