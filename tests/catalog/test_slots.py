import numpy as np

from llmapp.catalog.slots import Batch, HeldSlots

NOBODY = np.zeros(0, dtype=np.int64)


def batch(*rows):
    numbers = np.array(rows, dtype=np.int64)
    return Batch(numbers, numbers + 100, np.repeat(numbers[:, None], 4, axis=1).astype(np.float32))


def rows_of(slots):
    assert slots.documents.tolist() == (slots.rows + 100).tolist()
    assert slots.vectors[:, -1:].ravel().tolist() == slots.rows.tolist()
    return slots.rows.tolist()


def test_what_is_held_grows_in_its_place_and_is_copied_only_when_there_is_no_room():
    store = HeldSlots()
    before = store.extend(None, [batch(*range(100)), batch(100)], NOBODY, 1)
    after = store.extend(before, [batch(200, 201), batch(202)], NOBODY, 2)
    gone = store.extend(after, [], np.array([5]), 3)
    assert np.shares_memory(before.vectors, after.vectors)
    assert np.shares_memory(after.vectors, gone.vectors)
    assert not gone.live()[5]
    assert rows_of(before) == list(range(101))
    assert rows_of(after) == rows_of(gone) == [*range(101), 200, 201, 202]
    more = store.extend(gone, [batch(*range(300, 400))], NOBODY, 4)
    assert not np.shares_memory(more.vectors, gone.vectors)
    assert rows_of(more) == [*rows_of(gone), *range(300, 400)]


def test_what_was_read_before_keeps_its_columns_when_another_goes_on_from_it():
    store = HeldSlots()
    first = store.extend(None, [batch(*range(100))], NOBODY, 1)
    second = store.extend(first, [batch(200)], NOBODY, 2)
    third = store.extend(first, [batch(300)], NOBODY, 3)
    assert rows_of(second)[-1] == 200
    assert rows_of(third)[-1] == 300
    store.clear()
    assert rows_of(store.extend(third, [batch(400)], NOBODY, 4))[-2:] == [300, 400]
    assert rows_of(store.extend(None, [], NOBODY, 5)) == []
