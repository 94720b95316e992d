"""Verbs that read: `ask`, `summarize`, `search` and `fields`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.options import AsJson, Config, Question, Where, opened, print_json, read_question

if TYPE_CHECKING:
    from llmapp.app.summaries.result import SummaryPlan

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


def summarize(
    task: Annotated[str, typer.Argument(help="What the summary is to say; - reads it from standard input.")],
    config: Config = None,
    where: Where = None,
    words: Annotated[int | None, typer.Option("--words", min=1, help="Most words of the summary; else a page.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say how many documents and requests it takes and what it can cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Summarize all documents that a filter admits, with citations; says first what it can cost at worst."""
    with opened(config, as_json=as_json) as app:
        from llmapp.application import SUMMARY_WORDS

        asked, most_words = read_question(task), words or SUMMARY_WORDS
        if plan:
            _print_plan(app.plan_summary(asked, where=where, words=most_words), as_json=as_json)
            return
        from llmapp.cli.progress import ProgressBar

        with ProgressBar() as bar:
            progress = None if as_json else bar
            summary = app.summarize(asked, where=where, words=most_words, progress=progress, tell=_say_plan)
        if as_json:
            from llmapp.app.shapes import summary_shape

            print_json(summary_shape(summary))
        else:
            from rich.console import Console

            from llmapp.cli.render import print_summary

            print_summary(Console(), summary)


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


def _say_plan(plan: SummaryPlan) -> None:
    from llmapp.cli.render import plan_line

    typer.echo(plan_line(plan), err=True)


def _print_plan(plan: SummaryPlan, *, as_json: bool) -> None:
    from llmapp.app.shapes import plan_shape
    from llmapp.cli.render import plan_line

    if as_json:
        print_json(plan_shape(plan))
    else:
        typer.echo(plan_line(plan))
