from llmapp.catalog.catalog import Catalog


def test_a_catalog_has_one_name_for_ever_and_no_other_has_it(tmp_path):
    catalog, same, other = (Catalog(tmp_path / name) for name in ("a.db", "a.db", "b.db"))
    name = catalog.identity()
    assert len(name) == 16
    assert name == same.identity() == catalog.identity() != other.identity()
    for each in (catalog, same, other):
        each.close()
