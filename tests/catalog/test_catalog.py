import pytest

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord
from llmapp.errors import CatalogError, EmbedderMismatchError
from llmapp.types import LOCAL_USER, Principal


def applied(catalog):
    catalog.mark_applied(catalog.pending())


def test_a_document_comes_back_as_it_was_committed(catalog, put, record):
    item = record("a", "first text", "second text")
    put(item)
    assert catalog.text("s", "a", principal=LOCAL_USER) == item.text
    assert catalog.page_starts("s", "a", principal=LOCAL_USER) == (0,)
    chunks = catalog.chunks([chunk.id for chunk in item.chunks], principal=LOCAL_USER)
    assert tuple(chunks[chunk.id] for chunk in item.chunks) == item.chunks
    assert catalog.stored("s", "a").revision == "1"
    assert catalog.document_ids("s") == {"a"}


def test_replacing_a_document_leaves_nothing_of_the_old_one(catalog, put, record):
    put(record("a", "the old words"))
    put(record("a", "quite different"))
    assert catalog.match("old", principal=LOCAL_USER, top_k=5) == []
    assert len(catalog.match("different", principal=LOCAL_USER, top_k=5)) == 1
    catalog.drop_unused()
    assert catalog.counts().embeddings == 1


def test_an_unchanged_chunk_is_no_work_for_the_index(catalog, put, record):
    put(record("a", "stays", "goes"))
    applied(catalog)
    put(record("a", "stays", "comes"))
    assert sorted(work.action for work in catalog.pending()) == ["delete", "upsert"]


def test_a_chunk_that_comes_back_before_it_was_swept_is_an_upsert(catalog, put, record):
    put(record("a", "text"))
    applied(catalog)
    catalog.delete("s", ["a"])
    put(record("a", "text"))
    assert [work.action for work in catalog.pending()] == ["upsert"]


def test_work_that_came_meanwhile_is_not_marked_as_applied(catalog, put, record):
    put(record("a", "text"))
    work = catalog.pending()
    catalog.delete("s", ["a"])
    catalog.mark_applied(work)
    assert [item.action for item in catalog.pending()] == ["delete"]


def test_a_failing_commit_keeps_the_old_document_whole(catalog, put, record):
    put(record("a", "old"))
    before = catalog.digest()
    with pytest.raises(CatalogError):
        catalog.replace([record("a", "new text without a vector")], {})
    assert catalog.digest() == before
    assert catalog.text("s", "a", principal=LOCAL_USER) == "old"


def test_two_documents_with_the_same_text_share_one_embedding(catalog, put, record):
    put(record("a", "same"), record("b", "same"))
    assert catalog.counts().embeddings == 1
    catalog.delete("s", ["a"])
    assert catalog.counts().embeddings == 1
    catalog.delete("s", ["b"])
    catalog.drop_unused()
    assert catalog.counts().embeddings == 0


def test_the_digest_does_not_depend_on_the_order_of_commits(tmp_path, record, embedder):
    digests = set()
    for name, order in (("x", ["a", "b", "c"]), ("y", ["c", "a", "b"])):
        other = Catalog(tmp_path / name / "catalog.db")
        for document_id in order:
            item = record(document_id, f"text of {document_id}", "shared")
            vectors = {k: embedder.embed_query(c.text) for c, k in zip(item.chunks, item.embedding_keys, strict=True)}
            other.replace([item], vectors)
        digests.add(other.digest())
        other.close()
    assert len(digests) == 1


def test_the_digest_sees_texts_access_lists_and_vectors(catalog, put, record):
    digests = [catalog.digest()]
    for item in (record("a", "x"), record("a", "y"), record("a", "y", acl=("group:g",))):
        put(item)
        digests.append(catalog.digest())
    with catalog._db.transaction() as connection:
        connection.execute("UPDATE embeddings SET vector = :zeros", {"zeros": bytes(256)})
    digests.append(catalog.digest())
    assert len(set(digests)) == len(digests)


def test_a_reader_sees_only_what_one_of_its_grants_opens(catalog, put, record):
    put(record("open", "word one"), record("hr", "word two", acl=("group:hr",)), record("closed", "word three", acl=()))
    everyone, hr = Principal("ann"), Principal("bob", ("hr",))

    def seen(principal):
        ids = [chunk_id for chunk_id, _ in catalog.match("word", principal=principal, top_k=9)]
        by_match = {chunk.document_id for chunk in catalog.chunks(ids, principal=principal).values()}
        by_id = {c.document_id for c in catalog.chunks(list(catalog.chunk_ids()), principal=principal).values()}
        assert len(catalog.readable_rows(principal)) == len(by_match)
        assert by_match == by_id
        return by_match

    assert seen(everyone) == {"open"}
    assert seen(hr) == {"open", "hr"}
    assert catalog.text("s", "hr", principal=everyone) is None
    assert catalog.page_starts("s", "hr", principal=everyone) == ()


def test_readable_rows_follow_a_change_of_the_access_list(catalog, put, record):
    put(record("a", "word", acl=("user:ann",)))
    ann = Principal("ann")
    assert len(catalog.readable_rows(ann)) == 1
    put(record("a", "word", acl=()))
    assert len(catalog.readable_rows(ann)) == 0


def test_lexical_search_stems_and_folds_accents(catalog, put, record):
    put(record("a", "Claims are reported in the café"))
    assert catalog.match("claim", principal=LOCAL_USER, top_k=1)
    assert catalog.match("cafe", principal=LOCAL_USER, top_k=1)


def test_another_embedder_is_refused_once_there_are_vectors(catalog, put, record):
    catalog.bind_embedder("one")
    catalog.bind_embedder("two")
    put(record("a", "text"))
    with pytest.raises(EmbedderMismatchError, match=r"two.*three"):
        catalog.bind_embedder("three")


def test_quarantine_keeps_the_last_reason_and_ends_when_the_document_comes_in(catalog, put, record):
    for attempts, reason in enumerate(("first", "second"), start=1):
        catalog.quarantine(QuarantineRecord("s", "a", "u/a", "parse", "parse_failed", reason, attempts=attempts))
    (entry,) = catalog.quarantined()
    assert (entry.attempts, entry.reason) == (2, "second")
    put(record("a", "text"))
    assert catalog.quarantined() == []


def test_cursors_runs_and_sources_are_kept(catalog):
    assert catalog.cursor("s") is None
    catalog.checkpoint("s", {"page": [1, None]})
    assert catalog.cursor("s") == {"page": [1, None]}
    run = catalog.start_run("s")
    assert catalog.runs()[0].status == "running"
    catalog.finish_run(run, status="completed", counts={"added": 2})
    assert catalog.runs()[0].counts == {"added": 2}
    assert catalog.sources() == ["s"]


def test_rebuilding_makes_every_live_chunk_pending(catalog, put, record):
    put(record("a", "one", "two"))
    applied(catalog)
    assert catalog.mark_all_pending() == 2
    assert {work.chunk_id for work in catalog.pending()} == catalog.chunk_ids()
    applied(catalog)
    catalog.bind_store("one")
    assert catalog.mark_all_pending(store="another") == 0
    assert catalog.pending() == []
    assert catalog.mark_all_pending(store="one") == 2


def test_full_text_search_finds_the_few_readable_ones_among_many(catalog, put, record):
    put(*(record(f"closed{i}", f"word word word {i}", acl=()) for i in range(60)), record("open", "word and much more text"))
    (found,) = catalog.match("word", principal=LOCAL_USER, top_k=3)
    assert catalog.chunks([found[0]], principal=LOCAL_USER)[found[0]].document_id == "open"


def test_equal_scores_are_ordered_by_chunk_and_not_by_the_order_of_commits(catalog, put, record):
    put(*(record(f"d{i}", f"word{i} same") for i in range(50)))
    found = [chunk_id for chunk_id, _ in catalog.match("same", principal=LOCAL_USER, top_k=5)]
    assert found == sorted(catalog.chunk_ids())[:5]


def test_a_text_that_is_stored_in_parts_comes_back_whole(catalog, put, record, monkeypatch):
    monkeypatch.setattr("llmapp.catalog.document_rows.PART_CHARS", 3)
    put(record("a", "ab😀cdéfgh"), record("b", "xyz"))
    assert catalog.text("s", "a", principal=LOCAL_USER) == "ab😀cdéfgh"
    assert catalog.stored_text("s", "a").text == "ab😀cdéfgh"
    assert catalog.stored_text("s", "b").text == "xyz"
    catalog.delete("s", ["a"])
    assert catalog.text("s", "a", principal=LOCAL_USER) is None
