import numpy as np
import pytest

from llmapp.errors import EmbedderError
from llmapp.retrieval.embedders.unit import unit_rows


def test_rows_are_brought_to_length_one():
    assert np.allclose(unit_rows([[3, 4], [0, -2]], count=2, dim=2), [[0.6, 0.8], [0, -1]])
    assert unit_rows([], count=0, dim=5).shape == (0, 5)


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ([[1, 2]], "1 vectors for 2 texts"),
        ([[1, 2, 3], [1, 2, 3]], "vectors of 3 dimensions, 2 are expected"),
        ([[1, 2], [0, 0]], "without a direction"),
        ([[1, 2], [float("nan"), 0]], "without a direction"),
        ([[1, 2], [float("inf"), 0]], "without a direction"),
        ([[1, 2], [1]], "no table of numbers"),
        ([[10**400, 1], [1, 1]], "no table of numbers"),
        ([["a", "b"], ["c", "d"]], "no table of numbers"),
        (None, "0 vectors"),
        ([], "0 vectors for 2 texts"),
        ([None, None], "no table of numbers"),
        ([[[1, 2]], [[1, 2]]], "no table of numbers"),
        ([1, 2], "no table of numbers"),
    ],
)
def test_what_is_no_vector_is_refused(vectors, match):
    with pytest.raises(EmbedderError, match=match) as caught:
        unit_rows(vectors, count=2, dim=2)
    assert caught.value.hint or match == "without a direction"
