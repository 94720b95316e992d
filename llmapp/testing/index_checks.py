"""The contract of `llmapp.protocols.VectorIndex`, as checks that need no test framework.

A check looks at an `IndexTrial`, whose store is empty at first, and raises `AssertionError`, which says what to do. In a test,
`llmapp.testing.contracts.VectorIndexContract` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from llmapp.errors import DimensionMismatchError, IndexUnavailableError
from llmapp.testing.index_trial import IndexTrial, ids_or_none, names
from llmapp.testing.vectors import clustered, nearest
from llmapp.testing.verdicts import require, told

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray, VectorIndex

LEAST_RECALL = 0.95
"""Share of the true ten nearest that an approximate index must find."""
_TOLERANCE = 1e-4
"""How far a score or a stored number may be from the exact one."""
_MANY = 6_500
"""More than a store of which we know takes at once: Chroma's limit is 5,461."""
_READERS = 6


def says_what_it_is(trial: IndexTrial) -> None:
    """The name stands in the catalog; what is shared is opened without the lock."""
    require(isinstance(trial.index.name, str) and trial.index.name, "name is a text that names the kind of store")
    require(isinstance(trial.index.is_shared, bool), "is_shared is True or False")


def is_empty_before_it_is_written(trial: IndexTrial) -> None:
    """A store that was never written has no ids, and nothing to delete; clearing and closing it is allowed."""
    require(not ids_or_none(trial.index), "a new store has ids; give every catalog a store of its own")
    trial.index.upsert([], clustered(0, 16))
    trial.index.delete([])
    trial.index.clear()
    require(not ids_or_none(trial.index), "a cleared store has ids; remove all of them")
    try:
        require(not trial.index.query(_one(), top_k=3), "an empty store finds something; return no hits")
    except IndexUnavailableError:
        return


def holds_what_was_put(trial: IndexTrial) -> None:
    """Ids and vectors come back as they went in, also when the caller uses the array again."""
    given, kept = trial.filled(), clustered(60, 16, clusters=5)
    _holds(trial.index, given)
    kept_rows = kept.copy()
    trial.index.upsert(names(60), kept_rows)
    kept_rows[:] = 0
    _holds(trial.index, dict(zip(names(60), kept, strict=True)))
    stored = trial.index.vectors(["c00001", "never seen"])
    require(
        set(stored) == {"c00001"}, "vectors() gives other ids than those asked for; give just those of them that are there"
    )
    require(trial.index.vectors([]) == {}, "vectors([]) gives an empty dict")


def orders_hits_by_cosine_similarity(trial: IndexTrial) -> None:
    """The best come first, each with its cosine similarity: what exact search over the same vectors says."""
    vectors = trial.filled()
    for query in clustered(10, 16, clusters=5, seed=1):
        hits = trial.index.query(query, top_k=8)
        expected = nearest(vectors, query, top_k=8)
        require(len(hits) == len(expected), f"{len(hits)} hits for top_k=8 among 60; give exactly top_k")
        _scores_are_cosines(hits, vectors, query)
        scores = [score for _, score in hits]
        require(scores == sorted(scores, reverse=True), "hits are not in order; sort them, the most similar first")
        far = [pair for pair in zip(scores, expected, strict=True) if abs(pair[0] - pair[1][1]) > _TOLERANCE]
        require(not far, "hits are not the nearest; with so few vectors nothing may be overlooked")


def gives_all_when_more_are_asked_for(trial: IndexTrial) -> None:
    """`top_k` may be larger than the store."""
    vectors = trial.filled()
    found = [name for name, _ in trial.index.query(_one(), top_k=1_000)]
    require(len(found) == len(set(found)), "an id is found twice; give each id once")
    require(set(found) == set(vectors), f"{len(found)} of {len(vectors)} found with top_k=1000; give all there are")


def overwrites_a_vector_of_the_same_id(trial: IndexTrial) -> None:
    """The last vector of an id is its vector."""
    vectors = trial.filled()
    vectors["c00007"] = _one(seed=9)
    trial.put({"c00007": vectors["c00007"]})
    _holds(trial.index, vectors)
    name, score = trial.index.query(vectors["c00007"], top_k=1)[0]
    require(name == "c00007" and abs(score - 1) < _TOLERANCE, "a search finds the old vector of an id; replace it")


def changes_nothing_when_applied_twice(trial: IndexTrial) -> None:
    """A process that dies is run again: the same work comes once more."""
    vectors = trial.filled()
    trial.filled()
    trial.index.mend()
    trial.index.settle()
    _holds(trial.index, vectors)
    for _ in range(2):
        trial.index.delete(["c00003"])
    vectors.pop("c00003")
    _holds(trial.index, vectors)


def forgets_what_was_deleted(trial: IndexTrial) -> None:
    """A deleted id is in no list and no hit; unknown ids are ignored; what was deleted may come back."""
    vectors = trial.filled()
    gone = {name: vectors.pop(name) for name in names(20)}
    trial.index.delete([*gone, "never seen"])
    _holds(trial.index, vectors)
    for vector in gone.values():
        found = {name for name, _ in trial.index.query(vector, top_k=60)}
        require(not found & set(gone), "a search finds what was deleted; take it out of the search too")
        require(found == set(vectors), "a search lost what was not deleted; give all there are")
    trial.put(gone)
    _holds(trial.index, vectors | gone)


def is_empty_when_all_was_deleted(trial: IndexTrial) -> None:
    """No ids, no hits, no error; and it can be filled again."""
    vectors = trial.filled()
    trial.index.delete(list(vectors))
    require(trial.index.ids() == set(), "all was deleted and ids() is not empty; remove the ids")
    require(not trial.index.query(_one(), top_k=5), "all was deleted and a search finds something; return no hits")
    trial.put(vectors)
    _holds(trial.index, vectors)


def can_be_cleared_and_filled_again(trial: IndexTrial) -> None:
    """Nothing is left, and vectors of another length may come: those of another embedder."""
    trial.filled()
    trial.index.clear()
    require(not ids_or_none(trial.index), "a cleared store has ids; remove all of them")
    vectors = dict(zip(names(30), clustered(30, 24, seed=2), strict=True))
    try:
        trial.put(vectors)
    except DimensionMismatchError as error:
        raise AssertionError("a cleared store remembers the length of its vectors; forget it") from error
    _holds(trial.index, vectors)


def keeps_equal_vectors_apart(trial: IndexTrial) -> None:
    """The same text in two documents: two ids, one vector."""
    vectors = trial.filled(30) | dict.fromkeys(("twin-a", "twin-b", "twin-c"), _one(seed=9))
    trial.put({name: vector for name, vector in vectors.items() if name.startswith("twin")})
    hits = trial.index.query(_one(seed=9), top_k=3)
    require({name for name, _ in hits} == {"twin-a", "twin-b", "twin-c"}, "equal vectors are taken for one; keep every id")
    _scores_are_cosines(hits, vectors, _one(seed=9))


def takes_any_id(trial: IndexTrial) -> None:
    """An id is a text: long, in any script, with quotes, spaces and line ends, told apart by every character."""
    odd = [
        "a",
        "A",
        " a",
        "a ",
        "ä",
        "a\u0308",
        "日本語",
        "🙂",
        "it's",
        'a"b',
        "a\\b",
        "a\nb",
        "%",
        "a%",
        "_",
        "0",
        "00",
        "x" * 600,
    ]
    vectors = dict(zip(odd, clustered(len(odd), 16, seed=3), strict=True))
    trial.put(vectors)
    _holds(trial.index, vectors)
    trial.index.delete(["a", "%", 'a"b'])
    _holds(trial.index, {name: vector for name, vector in vectors.items() if name not in {"a", "%", 'a"b'}})


def takes_batches_of_any_size(trial: IndexTrial) -> None:
    """A store that limits a batch divides it itself."""
    vectors = trial.filled(_MANY, dim=8)
    _holds(trial.index, vectors)
    gone = names(_MANY)[:-20]
    trial.index.delete(gone)
    require(trial.index.ids() == set(vectors) - set(gone), f"a delete of {len(gone)} ids leaves some; divide it")


def refuses_vectors_of_another_length(trial: IndexTrial) -> None:
    """A `DimensionMismatchError`, and the store is as it was."""
    vectors = trial.filled()
    other = _one(dim=24)
    _raises_mismatch(lambda: trial.index.upsert(["other"], other[None, :]), "upsert")
    _raises_mismatch(lambda: trial.index.query(other, top_k=3), "query")
    _holds(trial.index, vectors)
    _raises_mismatch(lambda: trial.reopened().upsert(["other"], other[None, :]), "upsert after opening again")
    _holds(trial.index, vectors)


def keeps_all_when_closed_and_opened_again(trial: IndexTrial) -> None:
    """What a call has returned from is there for the next process."""
    vectors = trial.filled()
    vectors.pop("c00000")
    trial.index.delete(["c00000"])
    _holds(trial.reopened(), vectors)
    trial.index.close()
    trial.index.close()
    _holds(trial.index, vectors)
    trial.put({"new": _one(seed=9)})
    _holds(trial.reopened(), vectors | {"new": _one(seed=9)})


def serves_several_readers_at_once(trial: IndexTrial) -> None:
    """Questions are answered in threads; each gets what it would get alone, also while another thread writes."""
    vectors = trial.filled(300)
    queries = clustered(20, 16, clusters=5, seed=4)
    alone = [trial.index.query(query, top_k=5) for query in queries]
    with ThreadPoolExecutor(_READERS) as readers:
        work = [readers.submit(trial.index.query, query, top_k=5) for _ in range(5) for query in queries]
        trial.put(dict(list(vectors.items())[:100]))  # what is there already, so that the hits stay
        found = [each.result() for each in work]
    for hits, expected in zip(found, alone * 5, strict=True):
        # Of two that are as near, either will do.
        same = np.allclose([score for _, score in hits], [score for _, score in expected], atol=_TOLERANCE)
        require(len(hits) == len(expected) and same, "a reader among others gets other hits; guard what they share")
    _holds(trial.index, vectors)


def shows_another_process_what_was_written(trial: IndexTrial) -> None:
    """A shared store, opened twice: what one writes, the other reads."""
    if not trial.index.is_shared:
        return
    vectors = trial.filled(40)
    reader = trial.another()
    _holds(reader, vectors)
    trial.index.delete(["c00000"])
    trial.put({"new": _one(seed=9)})
    vectors.pop("c00000")
    _holds(reader, vectors | {"new": _one(seed=9)})
    found = reader.query(_one(seed=9), top_k=1)
    require(found and found[0][0] == "new", "a reader does not find what another wrote; is_shared is False")


def finds_nearly_all_of_the_nearest(trial: IndexTrial) -> None:
    """Recall among vectors in clusters, also when a third was deleted and half was written anew."""
    vectors = trial.filled(4_000, dim=48, clusters=40)
    trial.index.settle()
    _recalls(trial.index, vectors)
    gone = names(4_000)[::3]
    trial.index.delete(gone)
    left = {name: vector for name, vector in vectors.items() if name not in set(gone)}
    moved = list(left)[::2]
    left |= dict(zip(moved, clustered(len(moved), 48, clusters=40, seed=5), strict=True))
    trial.put({name: left[name] for name in moved})
    _recalls(trial.index, left)


INDEX_CHECKS: tuple[Callable[[IndexTrial], None], ...] = (
    says_what_it_is,
    is_empty_before_it_is_written,
    holds_what_was_put,
    orders_hits_by_cosine_similarity,
    gives_all_when_more_are_asked_for,
    overwrites_a_vector_of_the_same_id,
    changes_nothing_when_applied_twice,
    forgets_what_was_deleted,
    is_empty_when_all_was_deleted,
    can_be_cleared_and_filled_again,
    keeps_equal_vectors_apart,
    takes_any_id,
    takes_batches_of_any_size,
    refuses_vectors_of_another_length,
    keeps_all_when_closed_and_opened_again,
    serves_several_readers_at_once,
    shows_another_process_what_was_written,
    finds_nearly_all_of_the_nearest,
)
"""All checks; each wants a store that is empty."""


def run_index_check(check: Callable[[IndexTrial], None], trial: IndexTrial) -> None:
    """Run a check and close the store.

    Raises:
        AssertionError: A promise is broken; the message says what to do.
    """
    try:
        check(trial)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"an allowed call raises {told(error)}; see llmapp.protocols.VectorIndex") from error
    finally:
        trial.close()


def _one(dim: int = 16, seed: int = 8) -> FloatArray:
    vector: FloatArray = clustered(1, dim, seed=seed)[0]
    return vector


def _holds(index: VectorIndex, expected: Mapping[str, FloatArray]) -> None:
    """The store holds just these ids with just these vectors."""
    found = index.ids()
    require(not set(expected) - found, f"ids() lacks {_some(set(expected) - found)}; give every id that was put")
    require(not found - set(expected), f"ids() has {_some(found - set(expected))}; give only what was put and not deleted")
    stored = index.vectors(list(expected))
    lost = set(expected) - set(stored)
    require(not lost, f"vectors() lacks {_some(lost)}; give the vector of every id that is there")
    other = {name for name, vector in expected.items() if not _is_same(stored[name], vector)}
    require(not other, f"vectors() gives another vector for {_some(other)}; keep what was put last, in float32")


def _is_same(stored: FloatArray, vector: FloatArray) -> bool:
    return stored.shape == vector.shape and bool(np.allclose(stored, vector, atol=_TOLERANCE))


def _scores_are_cosines(hits: Sequence[tuple[str, float]], vectors: Mapping[str, FloatArray], query: FloatArray) -> None:
    for name, score in hits:
        require(name in vectors, f"a search finds {name!r}, which was not put; give only what is there")
        cosine = float(vectors[name].astype(np.float64) @ query)
        require(
            abs(score - cosine) < _TOLERANCE,
            f"a hit has {score:.4f} and its cosine is {cosine:.4f}; give that, not a distance",
        )


def _raises_mismatch(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except DimensionMismatchError:
        return
    except Exception as error:
        raise AssertionError(f"{what} of another length raises {told(error)}; raise DimensionMismatchError") from error
    raise AssertionError(f"{what} of another length is taken; raise DimensionMismatchError")


def _recalls(index: VectorIndex, vectors: Mapping[str, FloatArray]) -> None:
    queries = list(vectors.values())[:: len(vectors) // 50]
    found = 0.0
    for query in queries:
        tenth = nearest(vectors, query, top_k=10)[-1][1]
        # Of several that are as near as the tenth, any will do.
        found += sum(score >= tenth - _TOLERANCE for _, score in index.query(query, top_k=10)) / 10
    recall = found / len(queries)
    require(
        recall >= LEAST_RECALL,
        f"{recall:.3f} of the true ten nearest are found, at least {LEAST_RECALL} are wanted; search wider",
    )


def _some(found: Collection[str]) -> str:
    shown = sorted(found)
    return ", ".join(name[:20] for name in shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")  # noqa: PLR2004
