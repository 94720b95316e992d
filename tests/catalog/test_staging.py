"""Chunks that wait behind the live ones."""

import numpy as np

from llmapp.catalog.records import StagedChunks
from llmapp.types import LOCAL_USER


def staged(record, version="v", *, complete=True, count=None):
    chunks, keys = record.chunks[:count], record.embedding_keys[:count]
    return StagedChunks(record.source, record.document_id, version, chunks, keys, complete)


def vectors(embedder, *records):
    return {
        key: embedder.embed_query(chunk.text)
        for item in records
        for chunk, key in zip(item.chunks, item.embedding_keys, strict=True)
    }


def applied(catalog):
    catalog.mark_applied(catalog.pending())


def test_staged_chunks_are_found_by_no_search(catalog, put, record, embedder):
    put(record("a", "old words"))
    new = record("a", "new words")
    before = catalog.digest()
    catalog.stage([staged(new)], vectors(embedder, new))
    assert catalog.digest() == before
    assert catalog.match("new", principal=LOCAL_USER, top_k=5) == []
    assert catalog.chunk_ids() == {chunk.id for chunk in record("a", "old words").chunks}


def test_a_swap_puts_all_staged_chunks_in_the_place_of_the_live_ones(catalog, put, record, embedder):
    put(record("a", "one old"), record("b", "two old"), record("c", "stays"))
    applied(catalog)
    a, b = record("a", "one new", "one more"), record("b", "two new")
    catalog.stage([staged(a), staged(b)], vectors(embedder, a, b))
    catalog.swap_staged(chunker="other", embedder="e2")
    stays = {chunk.id for chunk in record("c", "stays").chunks}
    assert catalog.chunk_ids() == {chunk.id for chunk in (*a.chunks, *b.chunks)} | stays
    assert catalog.match("old", principal=LOCAL_USER, top_k=5) == []
    assert catalog.stored("s", "a").chunker == "other"
    assert catalog.stored("s", "c").chunker == ""
    assert {work.action for work in catalog.pending()} == {"upsert", "delete"}
    assert not stays & {work.chunk_id for work in catalog.pending()}
    assert catalog.counts().embeddings == 4
    assert catalog.live_embedder() == "e2"


def test_a_chunk_that_the_swap_leaves_as_it_is_is_no_news_for_the_index(catalog, put, record, embedder):
    put(record("a", "kept", "old"))
    applied(catalog)
    new = record("a", "kept", "new")
    catalog.stage([staged(new)], vectors(embedder, new))
    catalog.swap_staged(chunker="other", embedder="e")
    assert new.chunks[0].id not in {work.chunk_id for work in catalog.pending()}


def test_a_document_that_is_not_complete_stays_as_it_is_in_a_swap(catalog, put, record, embedder):
    put(record("a", "old"))
    new = record("a", "new", "more")
    catalog.stage([staged(new, complete=False, count=1)], vectors(embedder, new))
    assert not catalog.is_staged("s", "a", "v")
    catalog.swap_staged(chunker="other", embedder="e")
    assert catalog.chunk_ids() == {chunk.id for chunk in record("a", "old").chunks}


def test_what_was_staged_for_another_version_goes_with_its_vectors(catalog, put, record, embedder):
    put(record("a", "live"))
    first, second = record("a", "first try"), record("a", "second try")
    catalog.stage([staged(first, "1")], vectors(embedder, first))
    catalog.stage([staged(second, "2")], vectors(embedder, second))
    assert not catalog.is_staged("s", "a", "1")
    catalog.drop_unused()
    assert catalog.known_embeddings([*first.embedding_keys, *second.embedding_keys]) == set(second.embedding_keys)


def test_dropping_what_is_staged_keeps_the_vectors_that_live_chunks_use(catalog, put, record, embedder):
    put(record("a", "shared words"))
    new = record("b", "shared words", "others")
    catalog.stage([staged(new, complete=False)], vectors(embedder, new))
    catalog.drop_staged()
    assert catalog.known_embeddings(new.embedding_keys) == {new.embedding_keys[0]}
    assert len(catalog.live_vectors().live_slots()) == 1


def test_a_document_that_is_deleted_leaves_nothing_staged(catalog, put, record, embedder):
    put(record("a", "old"))
    new = record("a", "new")
    catalog.stage([staged(new)], vectors(embedder, new))
    catalog.delete("s", ["a"])
    catalog.drop_unused()
    assert catalog.counts().embeddings == 0
    assert not catalog.is_staged("s", "a", "v")


def test_a_large_document_is_committed_from_what_was_staged(catalog, record, embedder, new_catalog):
    from dataclasses import replace

    whole = record("a", "one", "two", "three")
    for number in range(3):
        part = StagedChunks(
            "s", "a", "v", whole.chunks[number : number + 1], whole.embedding_keys[number : number + 1], number == 2
        )
        catalog.stage([part], vectors(embedder, whole))
    catalog.replace([replace(whole, chunks=(), embedding_keys=(), is_staged=True)], {})
    assert catalog.chunk_ids() == {chunk.id for chunk in whole.chunks}
    table = catalog.live_vectors()
    assert np.allclose(np.linalg.norm(table.vectors, axis=1), 1)
    other = new_catalog()
    other.replace([whole], vectors(embedder, whole))
    assert other.digest() == catalog.digest()


def test_outdated_documents_are_those_of_another_chunker_or_of_another_embedder(catalog, put, record):
    from dataclasses import replace

    catalog.bind_embedder("e1")
    put(replace(record("a", "x"), chunker="c1"), replace(record("b", "y"), chunker="c2"))
    assert catalog.outdated("c1", "e1") == [("s", "b")]
    assert catalog.outdated("c1", "e2") == [("s", "a"), ("s", "b")]


def test_staged_leftovers_of_another_version_leave_no_vectors_behind_a_swap(catalog, put, record, embedder):
    put(record("a", "old"))
    left, new = record("a", "left over", "and more"), record("a", "new")
    catalog.stage([staged(left, "1", complete=False)], vectors(embedder, left))
    catalog.stage([staged(new, "2", complete=False)], vectors(embedder, new))
    catalog.swap_staged(chunker="other", embedder="e")
    assert catalog.counts().embeddings == catalog.counts().chunks == 1


def test_forgetting_a_source_leaves_nothing_staged(catalog, put, record, embedder):
    put(record("a", "old"))
    new = record("b", "staged and never finished")
    catalog.stage([staged(new, complete=False)], vectors(embedder, new))
    catalog.forget_source("s")
    assert catalog.counts().embeddings == 0
    assert catalog._db.read("SELECT count(*) FROM staged_chunks")[0][0] == 0


def test_a_chunk_without_a_vector_is_an_error_and_not_left_out(catalog, record):
    import pytest

    from llmapp.errors import CatalogError

    with pytest.raises(CatalogError):
        catalog.stage([staged(record("a", "x"))], {})
