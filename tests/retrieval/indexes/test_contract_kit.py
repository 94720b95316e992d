"""The kit finds each fault: an index that keeps the contract, and ones that break it in one place each."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from llmapp.errors import DimensionMismatchError, IndexUnavailableError
from llmapp.testing import VectorIndexContract
from llmapp.testing.index_checks import INDEX_CHECKS, run_index_check
from llmapp.testing.index_trial import IndexTrial
from llmapp.testing.vectors import nearest


class Good:
    """Vectors in a dict, which stands for the disk."""

    name = "good"
    is_shared = True

    def __init__(self, disk):
        self.disk = disk

    def upsert(self, ids, vectors):
        self.check(vectors)
        self.disk.update(zip(ids, np.array(vectors), strict=True))

    def delete(self, ids):
        for name in ids:
            self.disk.pop(name, None)

    def query(self, vector, *, top_k):
        self.check(vector)
        held = dict(self.disk)
        return nearest(held, vector, top_k=top_k) if held else []

    def ids(self):
        return set(self.disk)

    def vectors(self, ids):
        return {name: self.disk[name] for name in ids if name in self.disk}

    def check(self, vectors):
        for held in list(self.disk.values())[:1]:
            if len(held) != vectors.shape[-1]:
                raise DimensionMismatchError(stored=len(held), given=vectors.shape[-1])

    def mend(self):
        pass

    def settle(self):
        pass

    def fault(self):
        return None

    def clear(self):
        self.disk.clear()

    def close(self):
        pass


class Nameless(Good):
    name = ""


class Unsure(Good):
    is_shared = "perhaps"


class Littered(Good):
    def ids(self):
        return super().ids() | {"of another catalog"}


class Unfamiliar(Good):
    def ids(self):
        if not self.disk:
            raise KeyError("no collection")
        return super().ids()


class Hallucinating(Good):
    def query(self, vector, *, top_k):
        return super().query(vector, top_k=top_k) if self.disk else [("ghost", 1.0)]


class Borrowing(Good):
    def upsert(self, ids, vectors):
        self.disk.update(zip(ids, vectors, strict=True))


class Rounding(Good):
    def upsert(self, ids, vectors):
        super().upsert(ids, np.round(vectors, 2))


class Generous(Good):
    def vectors(self, ids):
        return dict(self.disk)


class Distant(Good):
    def query(self, vector, *, top_k):
        return [(name, 1 - score) for name, score in super().query(vector, top_k=top_k)]


class Unordered(Good):
    def query(self, vector, *, top_k):
        return super().query(vector, top_k=top_k)[::-1]


class Shortsighted(Good):
    """Overlooks the nearest."""

    def query(self, vector, *, top_k):
        return super().query(vector, top_k=top_k + 1)[1:]


class Stingy(Good):
    def query(self, vector, *, top_k):
        return super().query(vector, top_k=min(top_k, 50))


class Repeating(Good):
    def query(self, vector, *, top_k):
        hits = super().query(vector, top_k=top_k)
        return hits + hits[:1] if top_k > len(hits) else hits


class FirstComes(Good):
    def upsert(self, ids, vectors):
        super().upsert(ids, [self.disk.get(name, vector) for name, vector in zip(ids, vectors, strict=True)])

    def check(self, vectors):
        super().check(np.array(vectors))


class Appending(Good):
    """Keeps the old vector in its search."""

    old: dict

    def __init__(self, disk):
        super().__init__(disk)
        self.seen = {}

    def query(self, vector, *, top_k):
        self.seen = dict(self.disk) | self.seen
        return nearest(self.seen, vector, top_k=top_k) if self.seen else []

    def upsert(self, ids, vectors):
        super().upsert(ids, vectors)
        self.seen = dict(zip(ids, vectors, strict=True)) | self.seen


class Toggling(Good):
    def upsert(self, ids, vectors):
        again = [name for name in ids if name in self.disk]
        super().upsert(ids, vectors)
        self.delete(again)


class Strict(Good):
    def delete(self, ids):
        for name in ids:
            del self.disk[name]


class Undying(Good):
    """Finds what was deleted."""

    def __init__(self, disk):
        super().__init__(disk)
        self.ever = {}

    def upsert(self, ids, vectors):
        super().upsert(ids, vectors)
        self.ever.update(zip(ids, vectors, strict=True))

    def query(self, vector, *, top_k):
        return nearest(self.ever, vector, top_k=top_k) if self.ever else []


class Bereft(Good):
    """Cannot search when all is gone."""

    def query(self, vector, *, top_k):
        if not self.disk:
            raise IndexUnavailableError("there is nothing to search")
        return super().query(vector, top_k=top_k)


class Remembering(Good):
    """Keeps the length of its vectors for ever."""

    dim = None

    def check(self, vectors):
        self.dim = self.dim or vectors.shape[-1]
        if self.dim != vectors.shape[-1]:
            raise DimensionMismatchError(stored=self.dim, given=vectors.shape[-1])


class Uncleared(Good):
    def clear(self):
        pass


class Merging(Good):
    """Takes equal vectors for one."""

    def query(self, vector, *, top_k):
        hits = super().query(vector, top_k=len(self.disk))
        return list({round(score, 6): (name, score) for name, score in hits[::-1]}.values())[::-1][:top_k]


class Folding(Good):
    """Takes ids without regard to case."""

    def upsert(self, ids, vectors):
        super().upsert([name.lower() for name in ids], vectors)


class Cutting(Good):
    def upsert(self, ids, vectors):
        super().upsert([name[:255] for name in ids], vectors)


class Limited(Good):
    def upsert(self, ids, vectors):
        super().upsert(ids[:5_461], vectors[:5_461])


class Impatient(Good):
    def delete(self, ids):
        super().delete(ids[:999])


class Loose(Good):
    def check(self, vectors):
        pass

    def query(self, vector, *, top_k):
        held = {name: value for name, value in self.disk.items() if len(value) == len(vector)}
        return nearest(held, vector, top_k=top_k) if held else []


class Untyped(Good):
    def check(self, vectors):
        try:
            super().check(vectors)
        except DimensionMismatchError as error:
            raise ValueError("shapes do not fit") from error


class HalfWritten(Good):
    """Refuses what has another length, and has taken it all the same."""

    def upsert(self, ids, vectors):
        first = next(iter(self.disk.values()), None)
        if first is not None and len(first) != vectors.shape[1]:
            self.disk.update(zip(ids, vectors, strict=True))
            raise DimensionMismatchError(stored=len(first), given=vectors.shape[1])
        super().upsert(ids, vectors)


class Forgetful(Good):
    """Writes to disk when it pleases."""

    is_shared = False

    def __init__(self, disk):
        super().__init__(dict(disk))


class Sharing(Good):
    """Readers share a place for their question."""

    def __init__(self, disk):
        super().__init__(disk)
        self.question, self.second = None, threading.Event()

    def query(self, vector, *, top_k):
        self.question = vector
        self.second.wait(0.002)
        return super().query(self.question, top_k=top_k)


class Stale(Good):
    """A reader keeps what it has read first."""

    def __init__(self, disk):
        super().__init__(disk)
        self.copy = None

    def query(self, vector, *, top_k):
        self.check(vector)
        return nearest(self.copy or self.disk, vector, top_k=top_k) if self.disk else []

    def ids(self):
        self.copy = self.copy or dict(self.disk)
        return super().ids()


class Approximate(Good):
    """Looks at nine tenths of what there is."""

    def query(self, vector, *, top_k):
        held = dict(self.disk)
        seen = {name: value for place, (name, value) in enumerate(held.items()) if place % 10 or len(held) < 1_000}
        return nearest(seen, vector, top_k=top_k) if seen else []


BROKEN = [
    (Nameless, "says_what_it_is"),
    (Unsure, "says_what_it_is"),
    (Littered, "is_empty_before_it_is_written"),
    (Unfamiliar, "is_empty_before_it_is_written"),
    (Hallucinating, "is_empty_before_it_is_written"),
    (Borrowing, "holds_what_was_put"),
    (Rounding, "holds_what_was_put"),
    (Generous, "holds_what_was_put"),
    (Distant, "orders_hits_by_cosine_similarity"),
    (Unordered, "orders_hits_by_cosine_similarity"),
    (Shortsighted, "orders_hits_by_cosine_similarity"),
    (Stingy, "gives_all_when_more_are_asked_for"),
    (Repeating, "gives_all_when_more_are_asked_for"),
    (FirstComes, "overwrites_a_vector_of_the_same_id"),
    (Appending, "overwrites_a_vector_of_the_same_id"),
    (Toggling, "changes_nothing_when_applied_twice"),
    (Strict, "changes_nothing_when_applied_twice"),
    (Strict, "forgets_what_was_deleted"),
    (Undying, "forgets_what_was_deleted"),
    (Bereft, "is_empty_when_all_was_deleted"),
    (Undying, "is_empty_when_all_was_deleted"),
    (Remembering, "can_be_cleared_and_filled_again"),
    (Uncleared, "can_be_cleared_and_filled_again"),
    (Merging, "keeps_equal_vectors_apart"),
    (Folding, "takes_any_id"),
    (Cutting, "takes_any_id"),
    (Limited, "takes_batches_of_any_size"),
    (Impatient, "takes_batches_of_any_size"),
    (Loose, "refuses_vectors_of_another_length"),
    (Untyped, "refuses_vectors_of_another_length"),
    (HalfWritten, "refuses_vectors_of_another_length"),
    (Forgetful, "keeps_all_when_closed_and_opened_again"),
    (Sharing, "serves_several_readers_at_once"),
    (Stale, "shows_another_process_what_was_written"),
    (Approximate, "finds_nearly_all_of_the_nearest"),
]


class TestAGoodIndexKeepsTheContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self):
        disk = {}
        return lambda: Good(disk)


class TestAnIndexForOneProcessNeedNotShowWhatAnotherWrote(VectorIndexContract):
    @pytest.fixture
    def open_index(self):
        disk = {}

        class Alone(Stale):
            is_shared = False

            def query(self, vector, *, top_k):
                self.copy = None
                return super().query(vector, top_k=top_k)

        return lambda: Alone(disk)


@pytest.mark.parametrize(("kind", "name"), BROKEN, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_broken_promise_is_found_and_says_what_to_do(kind, name):
    (check,) = (check for check in INDEX_CHECKS if check.__name__ == name)
    disk = {}
    with pytest.raises(AssertionError, match=r"; | is |names"):
        run_index_check(check, IndexTrial(lambda: kind(disk)))


def test_for_every_check_there_is_an_index_that_fails_it():
    assert {name for _, name in BROKEN} == {check.__name__ for check in INDEX_CHECKS}


def test_the_checks_need_no_pytest():
    script = "import sys, llmapp.testing.index_checks; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
