import pytest

from llmapp.types import Chunk, Hit


@pytest.fixture
def hits():
    """hits("a text", ...): hits c1, c2, … with falling scores."""

    def make(*texts):
        return [
            Hit(Chunk(f"c{n}", "s", f"d{n}", "u", "", text, 0, len(text)), 1 / n, n, "fused")
            for n, text in enumerate(texts, start=1)
        ]

    return make
