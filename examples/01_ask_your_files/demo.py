"""What `make demo` shows: files in, cited answers out, and an honest no. Offline, without a key."""

import time
from pathlib import Path

from rich.console import Console

from llmapp import open_app
from llmapp.cli.progress import ProgressBar
from llmapp.cli.render import print_answer
from llmapp.cli.reports import print_reports

QUESTIONS = (
    # The home policy of 2024 says 14 days, the Austrian supplement five: only page 2 of one PDF is right.
    "Within how many days must water damage be reported under the Home Policy 2025?",
    # One row of a CSV file; other rows and other documents hold other deductibles.
    "What is the deductible for natural hazards in Saxony?",
    # The table has ten regions, and Salzburg is none of them.
    "What is the deductible for natural hazards in Salzburg?",
)


def main() -> None:
    """Take the handbook in, ask, and print what it took."""
    console = Console()
    started_s = time.perf_counter()
    with open_app(Path(__file__).parent) as app:
        console.rule("[bold]1 · The handbook of an insurer: 22 files, six formats")
        with ProgressBar() as progress:
            reports = app.ingest(progress=progress)
        print_reports(console, reports)

        console.rule("[bold]2 · Two questions that it answers, and one that it does not")
        answers = [app.ask(question) for question in QUESTIONS]
        for question, answer in zip(QUESTIONS, answers, strict=True):
            console.print()
            print_answer(console, answer, question=question)

    cost_usd = sum(answer.cost_usd for answer in answers)
    console.print(f"\n[bold]{time.perf_counter() - started_s:.1f} s[/] in all, [bold]${cost_usd:.6f}[/], no key, no network")
    console.print('[dim]Now yours: put files into documents/, then llmapp ingest and llmapp ask "…"[/]')


if __name__ == "__main__":
    main()
