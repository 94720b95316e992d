"""__NAME__: answers questions about the files in `documents/`, with citations."""

import sys
from pathlib import Path

from llmapp import Answer, open_app

HERE = Path(__file__).parent


def ask(question: str) -> Answer:
    """Take in what is new in the documents, then answer."""
    with open_app(HERE) as app:
        app.ingest()  # unchanged files are only looked at
        return app.ask(question)


def main() -> None:
    """Answer the question on the command line."""
    if len(sys.argv) != 2:
        sys.exit('usage: python app.py "How many days of leave do I have?"')
    answer = ask(sys.argv[1])
    print(answer.text)
    for citation in answer.citations:
        print(f"[{citation.number}] {citation.title} ({citation.heading or citation.uri}): {citation.quote}")


if __name__ == "__main__":
    main()
