import hashlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmapp.catalog.records import DocumentRecord
from llmapp.retrieval.ranking.expansion import Expansion
from llmapp.retrieval.ranking.stage import Asked
from llmapp.types import LOCAL_USER, PUBLIC, Chunk, Hit, Principal

TEXT = "One a.\n\nTwo bb.\n\nThree ccc.\n\nFour dddd.\n\nFive eeeee."
SPANS = [(0, 6), (8, 15), (17, 27), (29, 39), (41, 52)]
HEADINGS = ["A", "B", "B", "B", "C"]


def document(name="d", text=TEXT, spans=SPANS, headings=HEADINGS, acl=(PUBLIC,)):
    chunks = tuple(
        Chunk(f"{name}{n}", "test", name, name, "", text[start:end], start, end, n + 1, heading)
        for n, ((start, end), heading) in enumerate(zip(spans, headings, strict=True))
    )
    return DocumentRecord(
        source="test",
        document_id=name,
        uri=name,
        title="",
        text=text,
        page_starts=(),
        media_type=None,
        metadata={},
        acl=acl,
        revision=None,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        parser="none",
        chunks=chunks,
        embedding_keys=tuple(chunk.text for chunk in chunks),
    )


@pytest.fixture
def store(catalog, embedder):
    def put(*records):
        keys = sorted({key for record in records for key in record.embedding_keys})
        catalog.replace(records, dict(zip(keys, embedder.embed_documents(keys), strict=True)))

    return put


def hits_of(record, *numbers):
    return [Hit(record.chunks[n], 1.0 / rank, rank, "fused") for rank, n in enumerate(numbers, start=1)]


def expand(catalog, hits, reach, most_chars=1_000, top_k=10, principal=LOCAL_USER):
    stage = Expansion(catalog, reach=reach, most_chars=most_chars)
    return stage(Asked("q", principal, top_k), hits)


def texts(found):
    return [hit.chunk.text for hit in found]


@pytest.mark.parametrize(
    ("reach", "number", "start", "end"),
    [
        ("neighbours", 2, 8, 39),
        ("neighbours", 0, 0, 15),
        ("neighbours", 4, 29, 52),
        ("section", 2, 8, 39),
        ("section", 0, 0, 6),
        ("document", 1, 0, 52),
    ],
)
def test_a_hit_grows_as_far_as_it_may(catalog, store, reach, number, start, end):
    store(document())
    (found,) = expand(catalog, hits_of(document(), number), reach)
    assert (found.chunk.start_char, found.chunk.end_char) == (start, end)
    assert found.chunk.text == TEXT[start:end]
    assert found.chunk.id == f"d{number}"
    first = [span[0] for span in SPANS].index(start)
    assert (found.chunk.page, found.chunk.heading) == (first + 1, HEADINGS[first])


def test_a_hit_grows_to_both_sides_in_turn_within_its_limit(catalog, store):
    store(document())
    (found,) = expand(catalog, hits_of(document(), 2), "document", most_chars=31)
    assert found.chunk.text == TEXT[8:39]
    (found,) = expand(catalog, hits_of(document(), 2), "document", most_chars=22)
    assert found.chunk.text == TEXT[17:39]
    (found,) = expand(catalog, hits_of(document(), 2), "document", most_chars=1)
    assert found == hits_of(document(), 2)[0]


def test_hits_that_grow_into_each_other_are_one_at_the_better_rank(catalog, store):
    store(document())
    (found,) = expand(catalog, hits_of(document(), 1, 3), "neighbours")
    assert found.chunk.id == "d1"
    assert found.score == 1.0
    assert found.chunk.text == TEXT


def test_sections_that_only_touch_stay_two_hits(catalog, store):
    store(document())
    found = expand(catalog, hits_of(document(), 0, 2, 4), "section")
    assert [(hit.chunk.heading, hit.chunk.text) for hit in found] == [
        ("A", TEXT[0:6]),
        ("B", TEXT[8:39]),
        ("C", TEXT[41:52]),
    ]
    (section,) = expand(catalog, hits_of(document(), 1, 3), "section")
    assert section.chunk.text == TEXT[8:39]


def test_hits_that_are_too_long_together_share_no_text(catalog, store):
    store(document())
    found = expand(catalog, hits_of(document(), 1, 3), "neighbours", most_chars=35)
    assert texts(found) == [TEXT[0:27], TEXT[29:52]]


def test_a_hit_whose_chunk_is_shown_already_is_not_shown_again(catalog, store):
    store(document())
    found = expand(catalog, hits_of(document(), 1, 2), "neighbours", most_chars=27)
    assert texts(found) == [TEXT[0:27]]


def test_hits_of_several_documents_keep_their_order_and_at_most_top_k_come(catalog, store):
    other = document("e", "Other.", [(0, 6)], [""])
    store(document(), other)
    hits = [*hits_of(document(), 0), *hits_of(other, 0), *hits_of(document(), 4)]
    assert [hit.chunk.id for hit in expand(catalog, hits, "section")] == ["d0", "e0", "d4"]
    assert [hit.chunk.id for hit in expand(catalog, hits, "section", top_k=2)] == ["d0", "e0"]


def test_hits_that_are_not_shown_do_not_make_larger_what_is(catalog, store):
    store(document())
    alone = expand(catalog, hits_of(document(), 1), "neighbours", top_k=1)
    assert texts(expand(catalog, hits_of(document(), 1, 2, 3, 4), "neighbours", top_k=1)) == texts(alone)


def test_nothing_grows_into_what_the_principal_may_not_read(catalog, store):
    secret = document(acl=("group:hr",))
    store(secret)
    hits = hits_of(secret, 2)
    assert expand(catalog, hits, "document") == hits
    (found,) = expand(catalog, hits, "document", principal=Principal("ann", ("hr",)))
    assert found.chunk.text == TEXT


def test_a_document_that_was_replaced_meanwhile_leaves_the_hit_as_it_was(catalog, store):
    store(document())
    hits = hits_of(document(), 2)
    store(document(text=TEXT.replace("ccc", "xxx")))
    assert texts(expand(catalog, hits, "document")) == ["Three ccc."]


def test_parts_of_a_long_text_are_cut_across_its_parts(catalog, store, monkeypatch):
    monkeypatch.setattr("llmapp.catalog.document_rows.PART_CHARS", 7)
    store(document())
    (found,) = expand(catalog, hits_of(document(), 2), "neighbours")
    assert found.chunk.text == TEXT[8:39]
    assert catalog.cut("test", "d", 13, 22, principal=LOCAL_USER) == TEXT[13:22]
    assert catalog.cut("test", "d", 40, 60, principal=LOCAL_USER) is None


def test_a_text_of_before_parts_is_one_whole(catalog, store, monkeypatch):
    store(document())
    monkeypatch.setattr("llmapp.catalog.document_rows.PART_CHARS", 7)
    assert catalog.cut("test", "d", 13, 40, principal=LOCAL_USER) == TEXT[13:40]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.permutations(range(5)),
    st.integers(1, 5),
    st.sampled_from(["neighbours", "section", "document"]),
    st.integers(1, 70),
)
def test_whatever_grows_is_the_documents_own_text_and_no_word_comes_twice(catalog, store, order, count, reach, most_chars):
    store(document())
    hits = hits_of(document(), *order[:count])
    found = expand(catalog, hits, reach, most_chars=most_chars)
    shown = sorted((hit.chunk.start_char, hit.chunk.end_char) for hit in found)
    assert all(hit.chunk.text == TEXT[hit.chunk.start_char : hit.chunk.end_char] for hit in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(shown))
    for hit in hits:
        assert any(start <= hit.chunk.start_char and hit.chunk.end_char <= end for start, end in shown)
    own = {hit.chunk.id: len(hit.chunk.text) for hit in hits}
    assert all(len(hit.chunk.text) <= max(most_chars, own[hit.chunk.id]) for hit in found)
    assert [hit.rank for hit in found] == sorted(hit.rank for hit in found)
