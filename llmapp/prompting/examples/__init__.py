"""Worked examples: how questions are answered here, in a file that a team reviews, and which of them stand in a prompt."""

from llmapp.prompting.examples.choice import ExampleItem, Examples, VectorOf, likeness
from llmapp.prompting.examples.quoting import quoting
from llmapp.prompting.examples.rated import RatedAnswer, doubt_about, rated_answers
from llmapp.prompting.examples.store import Example, add_examples, read_examples

__all__ = [
    "Example",
    "ExampleItem",
    "Examples",
    "RatedAnswer",
    "VectorOf",
    "add_examples",
    "doubt_about",
    "likeness",
    "quoting",
    "rated_answers",
    "read_examples",
]
