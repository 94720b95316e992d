from llmapp.catalog.catalog import Catalog


def test_a_catalog_has_one_name_for_ever_and_no_other_has_it(tmp_path):
    catalog, same, other = (Catalog(tmp_path / name) for name in ("a.db", "a.db", "b.db"))
    name = catalog.identity()
    assert len(name) == 16
    assert name == same.identity() == catalog.identity() != other.identity()
    for each in (catalog, same, other):
        each.close()


def test_the_first_store_that_applies_work_serves(catalog):
    assert catalog.serving_store() == ""
    catalog.bind_store("chroma")
    catalog.bind_store("pgvector")
    assert catalog.serving_store() == "chroma"


def test_work_is_that_of_the_store_that_serves(catalog, put, record):
    put(record("a", "one"))
    assert len(catalog.pending()) == len(catalog.pending(store="chroma")) == 1
    catalog.bind_store("chroma")
    assert len(catalog.pending(store="chroma")) == 1
    assert catalog.pending(store="pgvector") == []


def test_another_store_serves_in_one_step_with_the_work_that_it_lacks(catalog, put, record):
    put(record("a", "one", "two"), record("b", "three"))
    catalog.bind_store("chroma")
    catalog.mark_applied(catalog.pending())
    (first, *rest) = sorted(catalog.chunk_ids())
    put(record("c", "four"))
    held = {first, "gone"}
    assert catalog.serve_from("pgvector", held=held, former="chroma", keep_former=False) == 4
    work = {(item.chunk_id, item.action) for item in catalog.pending(store="pgvector")}
    assert work == {("gone", "delete"), *((name, "upsert") for name in catalog.chunk_ids() - {first})}
    assert set(rest) < {name for name, _ in work}
    assert catalog.serving_store() == "pgvector"
    assert catalog.other_stores() == {"chroma": "retired"}


def test_work_that_was_read_for_the_former_store_takes_none_from_the_next(catalog, put, record):
    put(record("a", "one"))
    read_before = catalog.pending(store="chroma")
    catalog.serve_from("pgvector", held=(), former="chroma", keep_former=False)
    catalog.mark_applied(read_before)
    assert len(catalog.pending(store="pgvector")) == 1


def test_what_other_stores_hold_is_noted_until_it_is_forgotten(catalog):
    catalog.note_other_store("pgvector", "begun")
    catalog.note_other_store("exact", "kept")
    assert catalog.other_stores() == {"pgvector": "begun", "exact": "kept"}
    catalog.serve_from("pgvector", held=(), former="chroma", keep_former=True)
    assert catalog.other_stores() == {"exact": "kept", "chroma": "kept"}
    catalog.note_other_store("exact", None)
    assert catalog.other_stores() == {"chroma": "kept"}
