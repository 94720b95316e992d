from llmapp.server.callers import principal_of
from llmapp.types import LOCAL_USER


async def test_everyone_is_the_local_user_until_there_is_authentication():
    assert await principal_of(None) == LOCAL_USER


def test_a_document_that_the_local_user_may_not_read_is_not_found(make, client_of, tmp_path):
    application = make(sources=[{"name": "private", "acl": ["group:board"], "settings": {"path": "board"}}])
    (tmp_path / "board").mkdir()
    (tmp_path / "board/merger.txt").write_text("The merger is secret.", encoding="utf-8")
    application.ingest()
    client = client_of(application)
    assert "merger" not in client.post("/api/search", json={"query": "merger secret"}).text
    assert application.catalog.counts().documents == 3
