"""Worked examples: how questions are answered here, in a file that a team reviews, and which of them stand in a prompt."""

from llmapp.prompting.examples.choice import ExampleItem, Examples, VectorOf, likeness
from llmapp.prompting.examples.store import Example, add_examples, rated_examples, read_examples

__all__ = ["Example", "ExampleItem", "Examples", "VectorOf", "add_examples", "likeness", "rated_examples", "read_examples"]
