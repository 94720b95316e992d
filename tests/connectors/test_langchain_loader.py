"""Loaders of the kinds that there are: by pages, by rows, by blobs, eager, failing; all derive from LangChain's own class."""

import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from langchain_core.document_loaders import BaseBlobParser, BaseLoader, Blob, BlobLoader
from langchain_core.documents import Document as Piece
from pydantic import SecretStr, ValidationError

from llmapp.connector import Checkpoint, ConnectorAuthError, ConnectorError, SourceUnavailableError, Upsert
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.bridges.langchain_loader import LangChainLoader

HERE = "loaders_of_the_test"


class Pages(BaseLoader):
    """Pages of files, as loaders of PDF give them."""

    def __init__(self, files):
        self.files = files

    def lazy_load(self):
        for name, pages in self.files.items():
            for number, text in enumerate(pages, start=1):
                yield Piece(
                    page_content=text, metadata={"source": name, "page": number, "title": name.title(), "pages": len(pages)}
                )


class Given(BaseLoader):
    """Whatever pieces a test wants to see loaded."""

    pieces = ()

    def lazy_load(self):
        yield from self.pieces


class Eager(BaseLoader):
    """Written before loading was lazy."""

    def load(self):
        return [Piece(page_content="all at once", metadata={"source": "a"})]


class TextBlobs(BlobLoader):
    def __init__(self, folder):
        self.folder = Path(folder)

    def yield_blobs(self):
        yield from (Blob.from_path(path) for path in sorted(self.folder.glob("*.txt")))


class Lines(BaseBlobParser):
    def lazy_parse(self, blob):
        for number, line in enumerate(blob.as_string().splitlines()):
            yield Piece(page_content=line, metadata={"source": blob.source, "row": number})


class Rows(BaseLoader):
    """A loader that is made of LangChain's blobs and parsers."""

    def __init__(self, folder):
        self.blobs, self.parser = TextBlobs(folder), Lines()

    def lazy_load(self):
        for blob in self.blobs.yield_blobs():
            yield from self.parser.lazy_parse(blob)


class Guarded(BaseLoader):
    """Needs a secret, and is careless with it."""

    def __init__(self, token, fail=None, status=None):
        self.token, self.fail, self.status = token, fail, status

    def lazy_load(self):
        yield Piece(
            page_content="words", metadata={"source": f"http://host/?token={self.token}", "by": [{self.token: self.token}]}
        )
        if self.status:
            error = ValueError(f"{self.status} for {self.token}")
            error.response = type("Response", (), {"status_code": self.status})()
            raise error
        if self.fail == "timeout":
            raise OSError("wrapped") from TimeoutError(self.token)
        if self.fail:
            raise ValueError(f"failed with {self.token}")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


@pytest.fixture
def given(monkeypatch):
    def connector(*pieces, **settings):
        monkeypatch.setattr(sys.modules[HERE].Given, "pieces", pieces)
        return LangChainLoader(loader=f"{HERE}:Given", **settings)

    return connector


def pages(files, **settings):
    return LangChainLoader(loader=f"{HERE}:Pages", arguments={"files": files}, **settings)


def documents(connector):
    return [change.document for change in connector.read(None) if isinstance(change, Upsert)]


FILES = {"a.pdf": ["one", "two"], "b.pdf": ["three"]}


class TestPagesKeepTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return pages(FILES)


class TestRowsKeepTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path):
        (tmp_path / "a.txt").write_text("one\ntwo\ntwo\n")
        (tmp_path / "b.txt").write_text("three")
        return LangChainLoader(loader=f"{HERE}:Rows", arguments={"folder": str(tmp_path)}, id_keys=("source", "row"))


class TestACarelessLoaderKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return LangChainLoader(loader=f"{HERE}:Guarded", secrets={"token": SecretStr("s3cret!")})


def test_pages_of_one_source_are_one_document_with_the_metadata_that_are_true_of_all():
    first, second = documents(pages(FILES))
    assert (first.id, first.uri, first.title, first.text) == ("a.pdf", "a.pdf", "A.Pdf", "one\n\ntwo")
    assert first.metadata == {"source": "a.pdf", "title": "A.Pdf", "pages": 2}
    assert second.metadata["page"] == 1


def test_documents_are_the_same_in_another_order():
    assert documents(pages({"b.pdf": ["three"], "a.pdf": ["one", "two"]})) == documents(pages(FILES))[::-1]


def test_id_keys_make_each_row_a_document(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo")
    connector = LangChainLoader(loader=f"{HERE}:Rows", arguments={"folder": str(tmp_path)}, id_keys=("source", "row"))
    source = str(tmp_path / "a.txt")
    assert [(one.id, one.uri, one.text) for one in documents(connector)] == [
        (f"{source}#0", source, "one"),
        (f"{source}#1", source, "two"),
    ]


def test_the_id_of_the_loader_comes_before_the_source(given):
    (document,) = documents(given(Piece(id="77", page_content="x", metadata={"source": "a"})))
    assert (document.id, document.uri) == ("77", "a")


def test_pieces_without_any_id_are_named_by_their_text_and_equal_ones_come_once(given):
    one, two = Piece(page_content="one"), Piece(page_content="two")
    forth, back = documents(given(one, two, one, one)), documents(given(two, two, one))
    assert [document.text for document in forth] == ["one", "two"]
    assert sorted(document.id for document in forth) == sorted(document.id for document in back)
    assert all(document.uri == document.id for document in forth)


def test_a_source_that_comes_back_later_is_an_error_that_says_what_to_set(given):
    connector = given(*(Piece(page_content=name, metadata={"source": name}) for name in "aba"))
    with pytest.raises(ConnectorError, match="comes back to a after another") as caught:
        list(connector.read(None))
    assert "id_keys" in caught.value.hint


def test_metadata_become_json_the_same_in_every_run(given):
    odd = {
        "source": Path("x/a"),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "price": Decimal("1.50"),
        "key": uuid.UUID(int=1),
        "tags": {"b", "a"},
        "pair": (1, 2),
        "nan": float("nan"),
        "object": object(),
        "bytes": b"\xff",
        "lone": "caf\udce9",
        "deep": {1: [{"x": None}]},
    }
    (document,) = documents(given(Piece(page_content="x", metadata=odd)))
    assert document.metadata == {
        "source": "x/a",
        "when": "2026-01-02T00:00:00+00:00",
        "price": "1.50",
        "key": str(uuid.UUID(int=1)),
        "tags": ["a", "b"],
        "pair": [1, 2],
        "nan": None,
        "object": None,
        "bytes": None,
        "lone": "caf\\udce9",
        "deep": {"1": [{"x": None}]},
    }


def test_only_the_named_metadata_are_kept(given):
    piece = Piece(page_content="x", metadata={"source": "a", "loaded_at": "now", "team": "blue", "title": 7})
    (document,) = documents(given(piece, metadata_keys=("team", "room")))
    assert document.metadata == {"team": "blue", "room": None}
    assert document.title is None


def test_a_loader_that_only_loads_at_once_is_read_too():
    (document,) = documents(LangChainLoader(loader=f"{HERE}:Eager"))
    assert document.text == "all at once"


def test_one_document_is_held_at_a_time(given, monkeypatch):
    loaded = []

    def lazy_load(self):
        for number in range(100):
            loaded.append(number)
            yield Piece(page_content="x", metadata={"source": str(number)})

    connector = given()
    monkeypatch.setattr(sys.modules[HERE].Given, "lazy_load", lazy_load)
    next(connector.read(None))
    assert len(loaded) == 2


def test_a_loader_without_pieces_is_only_a_checkpoint(given):
    assert list(given().read(None)) == [Checkpoint(None)]


@pytest.mark.parametrize("path", ["loaders", "loaders:", "a/b:C", "os;x:C", ":C", "a:b:c", "a:b.c"])
def test_what_is_no_import_path_is_refused(path):
    with pytest.raises(ValidationError):
        LangChainLoader(loader=path)


@pytest.mark.parametrize(
    "path", ["no_such_module:Loader", f"{HERE}:NoSuchLoader", "pathlib:Path", "os:system", f"{HERE}:FILES"]
)
def test_only_a_document_loader_is_called(path):
    with pytest.raises(ConnectorError) as caught:
        list(LangChainLoader(loader=path).read(None))
    assert caught.value.hint


def test_a_module_that_ends_the_program_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "leaving.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConnectorError, match="leaving:Loader cannot be imported: SystemExit: 1"):
        list(LangChainLoader(loader="leaving:Loader").read(None))


def test_wrong_arguments_are_told():
    with pytest.raises(ConnectorError, match=r"Pages failed: TypeError: .*flies"):
        list(LangChainLoader(loader=f"{HERE}:Pages", arguments={"flies": {}}).read(None))


def test_a_secret_reaches_the_loader_and_is_struck_out_of_what_it_says():
    (document,) = documents(
        LangChainLoader(loader=f"{HERE}:Guarded", arguments={"token": "x"}, secrets={"token": "s3cret!"})
    )
    assert document.id == document.uri == "http://host/?token=***"
    assert document.metadata["by"] == [{"***": "***"}]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"fail": "plainly"}, ConnectorError, "ValueError"),
        ({"fail": "timeout"}, SourceUnavailableError, "TimeoutError"),
        ({"status": 401}, ConnectorAuthError, "status 401"),
        ({"status": 403}, ConnectorAuthError, "status 403"),
        ({"status": 429}, SourceUnavailableError, "status 429"),
        ({"status": 503}, SourceUnavailableError, "status 503"),
        ({"status": 404}, ConnectorError, "status 404"),
    ],
)
def test_a_loader_that_fails_stops_the_run_without_a_word_about_the_secret(arguments, kind, words):
    connector = LangChainLoader(loader=f"{HERE}:Guarded", arguments=arguments, secrets={"token": "s3cret!"})
    with pytest.raises(ConnectorError, match=words) as caught:
        list(connector.read(None))
    assert type(caught.value) is kind
    assert "s3cret!" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_without_secrets_the_loaders_own_words_are_told():
    with pytest.raises(ConnectorError, match="Guarded failed: ValueError: failed with abc") as caught:
        list(LangChainLoader(loader=f"{HERE}:Guarded", arguments={"token": "abc", "fail": "now"}).read(None))
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_host_takes_in_what_is_new_and_deletes_what_is_gone(ingestor, catalog):
    ingestor.run("docs", pages(FILES), default_acl=("public",))
    assert set(catalog.document_ids("docs")) == {"a.pdf", "b.pdf"}
    report = ingestor.run("docs", pages({"b.pdf": ["three"], "c.pdf": ["new"]}), default_acl=("public",))
    assert (report.added, report.unchanged, report.deleted) == (1, 1, 1)
    assert set(catalog.document_ids("docs")) == {"b.pdf", "c.pdf"}
