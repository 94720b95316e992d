from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.evidence import in_order, parts_of, passages_of
from llmapp.types import Chunk, Hit

TEXT = "".join(f"Sentence {n} of the handbook says something. " for n in range(40))


def hit(start, end, rank, *, text=None, document="d", page=None, heading=""):
    words = TEXT[start:end] if text is None else text
    chunk = Chunk(f"c{rank}", "s", document, "u", "Title", words, start, end, page, heading)
    return Hit(chunk, 1 / rank, rank, "fused")


def passages(*hits):
    return passages_of(parts_of(hits))


def test_overlapping_chunks_become_one_stretch_that_holds_their_words_once():
    (passage,) = passages(hit(60, 140, 1), hit(0, 80, 2))
    assert passage.text == TEXT[:140]
    (source,) = passage.sources(1)
    assert (source.chunk.text, source.chunk.start_char, source.chunk.end_char) == (TEXT[:140], 0, 140)
    assert [part.id for part in source.parts] == ["c2", "c1"]
    assert passage.rank == 1


def test_chunks_with_white_space_between_them_are_one_passage_of_two_stretches():
    (passage,) = passages(hit(0, 40, 1), hit(42, 80, 2))
    assert passage.text == f"{TEXT[:40]}\n\n{TEXT[42:80]}"
    assert [source.chunk.text for source in passage.sources(3)] == [TEXT[:40], TEXT[42:80]]
    assert {source.number for source in passage.sources(3)} == {3}


def test_a_gap_of_more_than_white_space_is_marked():
    (passage,) = passages(hit(0, 40, 1), hit(120, 180, 2))
    assert passage.text == f"{TEXT[:40]}\n\n[…]\n\n{TEXT[120:180]}"


def test_chunks_far_apart_or_of_other_documents_stay_apart():
    assert len(passages(hit(0, 40, 1), hit(400, 440, 2), hit(0, 40, 3, document="e"))) == 3


def test_chunks_whose_texts_differ_where_they_overlap_are_not_put_together():
    changed = TEXT[60:140].replace("handbook", "HANDBOOK")
    found = passages(hit(0, 80, 1), hit(60, 140, 2, text=changed))
    assert sorted(passage.text for passage in found) == sorted([TEXT[:80], changed])


def test_two_versions_of_a_document_are_each_put_together_by_themselves():
    new = TEXT.replace("handbook", "HANDBOOK")
    hits = [
        hit(s, e, r, text=v[s:e])
        for r, (s, e, v) in enumerate([(0, 80, TEXT), (0, 80, new), (50, 160, TEXT), (50, 160, new)], 1)
    ]
    assert sorted(passage.text for passage in passages(*hits)) == sorted([TEXT[:160], new[:160]])


def test_a_chunk_whose_words_are_not_those_of_its_span_joins_nothing():
    assert len(passages(hit(0, 80, 1), hit(60, 140, 2, text=TEXT[60:120]), hit(80, 120, 3))) == 2


@st.composite
def _spans(draw):
    start = draw(st.integers(0, len(TEXT) - 1))
    return start, draw(st.integers(start, min(len(TEXT), start + 200)))


@given(st.lists(_spans(), min_size=1, max_size=12))
def test_every_stretch_stands_in_the_document_and_every_chunk_in_a_stretch(spans):
    hits = [hit(start, end, rank) for rank, (start, end) in enumerate(spans, start=1)]
    found = passages(*hits)
    sources = [source for number, passage in enumerate(found, start=1) for source in passage.sources(number)]
    for source in sources:
        chunk = source.chunk
        assert chunk.text == TEXT[chunk.start_char : chunk.end_char]
        assert chunk.text in found[source.number - 1].text
    shown = {position for source in sources for position in range(source.chunk.start_char, source.chunk.end_char)}
    assert shown == {position for start, end in spans for position in range(start, end)}
    assert len(shown) == sum(len(source.chunk.text) for source in sources), "words stand twice"
    assert sorted(part.chunk.id for passage in found for part in passage.parts) == sorted(h.chunk.id for h in hits)
    assert found == passages(*reversed(hits))


def test_order_by_score_by_edges_and_by_document():
    found = passages(
        hit(900, 940, 1), hit(0, 40, 2), hit(0, 40, 3, document="a"), hit(500, 540, 4), hit(900, 940, 5, document="a")
    )

    def ranks(order):
        return [passage.rank for passage in in_order(found, order)]

    assert ranks("score") == [1, 2, 3, 4, 5]
    assert ranks("edges") == [1, 3, 5, 4, 2]
    assert ranks("document") == [2, 4, 1, 3, 5]
