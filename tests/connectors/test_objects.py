import gc
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import fsspec
import pytest
from moto.s3.models import s3_backends
from pydantic import ValidationError

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    Failure,
    MissingDependencyError,
    SourceNotFoundError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import ConfigError
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.objects import Objects

ACCOUNT = "123456789012"
KEYS = {"key": "AKIAEXAMPLE", "secret": "s3cret/and+odd"}
ODD = [
    "a b.txt",
    "ü/名.txt",
    "x..y.txt",
    "a/../up.txt",
    "c#1.txt",
    "q?x=1.txt",
    "%41.txt",
    "a+b.txt",
    "sub//two.txt",
    "'\".txt",
]


class Bucket:
    """A bucket of its own on the server, written to with another client than the one that reads."""

    def __init__(self, client):
        self.address = client.meta.endpoint_url
        self.name = f"b-{uuid.uuid4().hex}"
        self.client = client
        self.client.create_bucket(Bucket=self.name)

    def put(self, key, body="words", **facts):
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **facts)

    def put_behind_the_server(self, key):
        """Straight into the memory of the server, which is in this process: a thousand requests take their time."""
        s3_backends[ACCOUNT]["aws"].put_object(self.name, key, b"words")

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)

    def connector(self, prefix="", **settings):
        return connector(f"s3://{self.name}{prefix}", self.address, **settings)


def connector(url, address, **settings):
    quick = {
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2},
        "client_kwargs": {"region_name": "us-east-1"},
    }
    return Objects(url=url, options={"endpoint_url": address, **quick}, secrets=settings.pop("secrets", KEYS), **settings)


@pytest.fixture(scope="module")
def client(s3):
    names = {"aws_access_key_id": "other", "aws_secret_access_key": "other", "region_name": "us-east-1"}
    made = boto3.client("s3", endpoint_url=s3, **names)
    yield made
    made.close()


@pytest.fixture
def bucket(client):
    return Bucket(client)


@pytest.fixture
def memory():
    """A folder in memory, as a url."""
    url = f"memory://{uuid.uuid4().hex}"
    yield url
    files, path = fsspec.core.url_to_fs(url)
    if files.exists(path):
        files.rm(path, recursive=True)


def put(url, body=b"words"):
    with fsspec.open(url, "wb", auto_mkdir=True) if url.startswith("file:") else fsspec.open(url, "wb") as file:
        file.write(body)


def documents(source):
    return {change.document.id: change.document for change in source.read(None) if isinstance(change, Upsert)}


def failures(source):
    return {change.id: change.error for change in source.read(None) if isinstance(change, Failure)}


class TestS3KeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, bucket):
        for key in ("docs/a.txt", "docs/sub/b.md", "docs/sub/", "docs/big.txt", "other.txt"):
            bucket.put(key, "" if key.endswith("/") else "x" * 9 if "big" in key else "words")
        return bucket.connector("/docs", max_bytes=8)


class TestMemoryKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, memory):
        put(f"{memory}/a.txt")
        put(f"{memory}/sub/b.txt")
        return Objects(url=memory)


class TestLocalFilesKeepTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, tmp_path):
        put(f"file://{tmp_path}/a.txt")
        put(f"file://{tmp_path}/sub/b.txt")
        return Objects(url=f"file://{tmp_path}")


def test_ids_are_keys_below_the_prefix_and_uris_are_whole(bucket):
    for key in ("docs/a.txt", "docs/sub/b.txt", "docs-old/c.txt", "docs.txt"):
        bucket.put(key, key)
    found = documents(bucket.connector("/docs/"))
    assert list(found) == ["a.txt", "sub/b.txt"]
    assert found["sub/b.txt"].uri == f"s3://{bucket.name}/docs/sub/b.txt"
    assert found["sub/b.txt"].content() == b"docs/sub/b.txt"


def test_a_url_of_one_object_is_a_source_of_one_document(bucket, tmp_path):
    bucket.put("docs/a.txt", "A")
    (tmp_path / "a.txt").write_bytes(b"A")
    for source in (bucket.connector("/docs/a.txt"), Objects(url=f"file://{tmp_path}/a.txt")):
        (document,) = documents(source).values()
        assert (document.id, document.uri, document.content()) == ("a.txt", source.url, b"A")


def test_a_listing_of_many_pages_is_complete_and_in_order(bucket):
    for number in range(1205):
        bucket.put_behind_the_server(f"{number:04}.txt")
    assert list(documents(bucket.connector())) == [f"{number:04}.txt" for number in range(1205)]


def test_odd_keys_come_through(bucket, memory):
    for key in ODD:
        bucket.put(f"p/{key}", key)
        put(f"{memory}/{key}", key.encode())
    for source in (bucket.connector("/p"), Objects(url=memory)):
        found = documents(source)
        assert set(found) == set(ODD)
        assert {key: document.content().decode() for key, document in found.items()} == {key: key for key in ODD}
        assert {key: document.uri for key, document in found.items()} == {key: f"{source.url}/{key}" for key in ODD}


def test_a_key_that_looks_like_a_version_is_not_taken_for_another_object(bucket):
    bucket.put("a.txt", "not this one")
    bucket.put("a.txt?versionId=1", "but this one")
    found = documents(bucket.connector())
    assert found["a.txt"].content() == b"not this one"
    with pytest.raises(ConnectorError, match="changed while it was read"):
        found["a.txt?versionId=1"].content()


def test_hidden_keys_settings_and_marks_of_folders_are_left_out(bucket):
    for key in (".env", ".git/config", "a/.b/c.txt", "llmapp.toml", "seen.txt"):
        bucket.put(key)
    bucket.put("folder/", "")
    bucket.put("solid/", "words")
    source = bucket.connector()
    assert list(documents(source)) == ["seen.txt"]
    assert failures(source) == {"solid/": "its key ends with a slash, as that of a folder"}


@pytest.mark.parametrize(
    ("glob", "expected"), [("**/*", {"a.md", "x/b.md", "x/y/c.txt"}), ("*.md", {"a.md"}), ("x/**/*.txt", {"x/y/c.txt"})]
)
def test_glob_chooses_the_keys(memory, glob, expected):
    for key in ("a.md", "x/b.md", "x/y/c.txt"):
        put(f"{memory}/{key}")
    assert set(documents(Objects(url=memory, glob=glob))) == expected


def test_an_object_over_the_limit_is_a_failure_and_is_not_fetched(bucket):
    bucket.put("big.txt", "12345")
    assert failures(bucket.connector(max_bytes=4)) == {"big.txt": "5 bytes, the limit is 4"}
    assert set(documents(bucket.connector(max_bytes=5))) == {"big.txt"}


def test_an_empty_object_reads_as_nothing(bucket):
    bucket.put("empty.txt", "")
    assert documents(bucket.connector())["empty.txt"].content() == b""


def test_a_second_run_sees_what_has_changed(bucket, memory, tmp_path):
    bucket.put("a.txt", "old")
    bucket.put("gone.txt", "old")
    source = bucket.connector()
    before = documents(source)
    bucket.put("a.txt", "new")
    bucket.put("b.txt", "new")
    bucket.delete("gone.txt")
    after = documents(source)
    assert list(after) == ["a.txt", "b.txt"]
    assert after["a.txt"].revision != before["a.txt"].revision
    for url in (memory, f"file://{tmp_path}"):
        put(f"{url}/a.txt", b"old")
        before = documents(Objects(url=url))["a.txt"].revision
        assert documents(Objects(url=url))["a.txt"].revision == before
        put(f"{url}/a.txt", b"longer")
        assert documents(Objects(url=url))["a.txt"].revision != before


def test_the_same_bytes_are_the_same_revision_in_s3(bucket):
    bucket.put("a.txt", "same")
    before = documents(bucket.connector())["a.txt"]
    bucket.put("a.txt", "same")
    assert documents(bucket.connector())["a.txt"].revision == before.revision
    assert before.metadata.keys() == {"last_modified"}


@pytest.mark.parametrize("later", ["NEW", "longer than before", "", None])
def test_an_object_that_changed_since_it_was_listed_is_not_passed_off_as_it_was(bucket, memory, tmp_path, later):
    local = f"file://{tmp_path}"
    bucket.put("a.txt", "old")
    put(f"{memory}/a.txt", b"old")
    put(f"{local}/a.txt", b"old")
    found = [documents(source)["a.txt"] for source in (bucket.connector(), Objects(url=memory), Objects(url=local))]
    os.utime(tmp_path / "a.txt", (1, 1))
    bucket.delete("a.txt") if later is None else bucket.put("a.txt", later)
    for url in (memory, local):
        fsspec.core.url_to_fs(url)[0].rm(f"{url}/a.txt")
        if later is not None:
            put(f"{url}/a.txt", later.encode())
    for document in found:
        with pytest.raises(ConnectorError):
            document.content()


def test_an_empty_bucket_is_only_a_checkpoint(bucket):
    assert list(bucket.connector().read(None)) == [Checkpoint(None)]
    assert list(bucket.connector("/nothing").read(None)) == [Checkpoint(None)]


def test_a_missing_bucket_or_folder_is_named(s3, tmp_path):
    with pytest.raises(SourceNotFoundError, match="bucket does not exist") as caught:
        list(connector("s3://no-such-bucket", s3).read(None))
    assert caught.value.hint
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        list(Objects(url=f"file://{tmp_path}/nowhere").read(None))


def test_a_folder_that_cannot_be_listed_stops_the_run():
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    put(f"file://{folder}/sub/deep/a.txt")
    put(f"file://{folder}/b.txt")
    folder.chmod(0o755)
    (folder / "sub" / "deep").chmod(0)
    try:
        os.seteuid(65534) if is_root else None
        with pytest.raises(ConnectorAuthError):
            list(Objects(url=f"file://{folder}").read(None))
    finally:
        os.seteuid(0) if is_root else None
        (folder / "sub" / "deep").chmod(0o755)
        shutil.rmtree(folder)


def test_links_and_pipes_are_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "up").symlink_to(tmp_path)
    assert list(documents(Objects(url=f"file://{tmp_path}"))) == ["a.txt"]


PAGE = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><KeyCount>1</KeyCount>
<IsTruncated>true</IsTruncated>%s<Contents><Key>a.txt</Key><Size>1</Size><ETag>"1"</ETag>
<LastModified>2024-05-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""
MORE = "<NextContinuationToken>more</NextContinuationToken>"
REFUSED = "<Error><Code>%s</Code><Message>not for AKIAEXAMPLE with s3cret/and+odd</Message></Error>"


@pytest.fixture
def hostile():
    """A server that answers the first request for a list with `pages[0]`, and so on; each is (status, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.pages.pop(0) if len(self.server.pages) > 1 else self.server.pages[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + (50 if status == 206 else 0)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ((403, REFUSED % "AccessDenied"), ConnectorAuthError),
        ((403, REFUSED % "InvalidAccessKeyId"), ConnectorAuthError),
        ((403, REFUSED % "SignatureDoesNotMatch"), ConnectorAuthError),
        ((400, REFUSED % "ExpiredToken"), ConnectorAuthError),
        ((404, REFUSED % "NoSuchBucket"), SourceNotFoundError),
        ((400, REFUSED % "SomethingElse"), ConnectorError),
        ((200, "this is no XML"), SourceUnavailableError),
        ((200, PAGE[:200]), SourceUnavailableError),
        ((200, PAGE % ""), ConnectorError),  # says that there is more, and not where
    ],
)
def test_a_listing_that_fails_half_way_raises_and_tells_no_secret(hostile, second, error):
    hostile.pages = [(200, PAGE % MORE), second]
    source = connector("s3://bucket", f"http://127.0.0.1:{hostile.server_port}")
    with pytest.raises(error) as caught:
        list(source.read(None))
    assert type(caught.value) is error
    for secret in KEYS.values():
        assert secret not in f"{caught.value} {caught.value.hint} {source!r} {source}"
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_store_that_is_out_of_order_may_be_asked_again(hostile):
    hostile.pages = [(200, PAGE % MORE), (503, REFUSED % "ServiceUnavailable")]
    with pytest.raises(SourceUnavailableError) as caught:
        list(connector("s3://bucket", f"http://127.0.0.1:{hostile.server_port}").read(None))
    assert caught.value.retryable


def test_a_store_that_does_not_answer_may_be_asked_again():
    with pytest.raises(SourceUnavailableError):
        list(connector("s3://bucket", "http://127.0.0.1:1").read(None))


def test_an_object_that_is_refused_is_told_by_its_content(bucket):
    bucket.put("a.txt")
    found = documents(bucket.connector())
    bucket.client.delete_object(Bucket=bucket.name, Key="a.txt")
    with pytest.raises(SourceNotFoundError):
        found["a.txt"].content()


def test_nothing_is_left_open(bucket):
    bucket.put("a.txt")
    changes = bucket.connector().read(None)
    next(changes).document.content()
    changes.close()
    del changes
    gc.collect()  # a warning of an open connection would be an error here


@pytest.mark.parametrize(
    ("url", "package", "extra"), [("gs://b", "gcsfs", "gcs"), ("az://b/p", "adlfs", "azure"), ("s3://b", "s3fs", "s3")]
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, url, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(
        sys.modules["fsspec.registry"]._registry, url.partition(":")[0], raising=False
    )  # it remembers the class
    with pytest.raises(MissingDependencyError, match=package) as caught:
        list(Objects(url=url).read(None))
    assert extra in caught.value.hint


def test_a_scheme_that_nobody_knows_is_named():
    with pytest.raises(ConnectorError, match="nosuch"):
        list(Objects(url="nosuch://a/b").read(None))


def test_a_password_in_the_url_is_refused():
    with pytest.raises(ConfigError, match="password"):
        Objects(url="sftp://me:s3cret@host/folder")


def test_a_wrong_setting_repeats_no_secret():
    with pytest.raises(ValidationError) as caught:
        Objects(url="s3://b", secrets=KEYS, max_bytes=0)
    assert KEYS["secret"] not in str(caught.value)


def test_fsspec_is_imported_by_the_read_alone():
    script = "import sys; from llmapp_connectors.objects import Objects; print('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_host_takes_in_what_changed_and_deletes_what_is_gone(ingestor, bucket):
    for key in ("a.txt", "b.md", "c.txt"):
        bucket.put(key, f"the words of {key}")
    source = bucket.connector()
    assert ingestor.run("bucket", source, default_acl=("public",)).added == 3
    bucket.put("a.txt", "other words")
    bucket.delete("c.txt")
    report = ingestor.run("bucket", source, default_acl=("public",))
    assert (report.added, report.changed, report.unchanged, report.deleted) == (0, 1, 1, 1)
