"""The verb `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import Config


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; else server.port.")] = None,
) -> None:
    """Serve the application over HTTP, OpenAI-compatible."""
    with reported(as_json=False):
        from llmapp.config import load_settings
        from llmapp.server.asgi import run

        run(load_settings(config), host=host, port=port)
