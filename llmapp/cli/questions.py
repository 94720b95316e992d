"""Verbs that read: `ask`, `search` and `fields`."""

from __future__ import annotations

from typing import Annotated

import typer

from llmapp.cli.options import AsJson, Config, Question, Where, opened, print_json, read_question

_TopK = Annotated[int | None, typer.Option("--top-k", "-k", min=1, max=1000, help="Hits to return.")]


def ask(question: Question, config: Config = None, where: Where = None, as_json: AsJson = False) -> None:
    """Answer a question from the documents, with citations."""
    with opened(config, as_json=as_json) as app:
        answer = app.ask(read_question(question), where=where)
        if as_json:
            from llmapp.app.shapes import answer_shape

            print_json(answer_shape(answer))
        else:
            from rich.console import Console

            from llmapp.cli.render import print_answer

            print_answer(Console(), answer)


def search(
    query: Annotated[str, typer.Argument(help="What to look for; - reads it from standard input.")],
    config: Config = None,
    top_k: _TopK = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Find the chunks nearest to a query, without an answer; it costs what embedder and reranker cost."""
    with opened(config, as_json=as_json) as app:
        found = app.find(read_question(query), top_k=top_k, where=where)
        if as_json:
            from llmapp.app.shapes import found_shape

            print_json(found_shape(found))
        else:
            from rich.console import Console

            from llmapp.cli.render import print_found

            print_found(Console(), found)


def fields(config: Config = None, as_json: AsJson = False) -> None:
    """List the fields that a filter may name, with the kinds of their values."""
    with opened(config, as_json=as_json) as app:
        found = app.fields()
        if as_json:
            from llmapp.app.shapes import fields_shape

            print_json(fields_shape(found))
        else:
            from rich.console import Console

            from llmapp.cli.render import print_fields

            print_fields(Console(), found)
