import base64
import contextlib
import os
import random
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Failure,
    SourceNotFoundError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.git import Git

TOKEN = "t0ken-s3cret"


class Repo:
    """A repository made with git itself; commits are written without a checkout, so that any path can be in one."""

    def __init__(self, folder):
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main", str(folder), cwd=folder.parent)

    def git(self, *arguments, given=b"", cwd=None):
        who = {f"GIT_{role}_{fact}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for fact in ("NAME", "EMAIL")}
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
        done = subprocess.run(
            ["git", *arguments], input=given, cwd=cwd or self.folder, env=environment, capture_output=True, check=True
        )
        return done.stdout

    def commit(self, files, *, parents=None, ref="refs/heads/main"):
        """Commit exactly these files: path to content, or to (mode, content)."""
        entries = []
        for path, value in files.items():
            mode, content = value if isinstance(value, tuple) else ("100644", value)
            content = content.encode() if isinstance(content, str) else content
            blob = "1" * 40 if mode == "160000" else self.git("hash-object", "-w", "--stdin", given=content).decode().strip()
            entries.append(f"{mode} {blob}\t".encode() + os.fsencode(path) + b"\0")
        self.git("read-tree", "--empty")
        self.git("update-index", "-z", "--index-info", given=b"".join(entries))
        tree = self.git("write-tree").decode().strip()
        if parents is None:
            parents = self.git("for-each-ref", "--format=%(objectname)", ref).decode().split()
        flags = [flag for parent in parents for flag in ("-p", parent)]
        commit = self.git("commit-tree", tree, *flags, given=b"a commit").decode().strip()
        self.git("update-ref", ref, commit)
        return commit


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path / "repo")


def read(connector, cursor=None):
    *changes, last = connector.read(cursor)
    assert isinstance(last, Checkpoint)
    return changes, last.cursor


def documents(connector, cursor=None):
    return {change.document.id: change.document for change in read(connector, cursor)[0] if isinstance(change, Upsert)}


class TestGitKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, repo):
        repo.commit({"a.md": "# A", "sub/b.txt": "b", "logo.png": b"\x89PNG\0"})
        return Git(path=repo.folder)


# ---- what is read


def test_a_document_is_a_file_of_the_commit_and_not_of_the_checkout(repo):
    repo.commit({"docs/a.md": "committed"})
    (repo.folder / "docs").mkdir()
    (repo.folder / "docs" / "a.md").write_text("edited")
    (repo.folder / "new.md").write_text("new")
    found = documents(Git(path=repo.folder))
    assert list(found) == ["docs/a.md"]
    document = found["docs/a.md"]
    assert document.content() == b"committed"
    assert document.uri == f"{repo.folder}:docs/a.md"
    assert document.metadata == {"path": "docs/a.md"}


def test_a_bare_repository_and_a_linked_worktree_are_read_too(repo, tmp_path):
    repo.commit({"a.md": "words"})
    repo.git("clone", "--quiet", "--bare", str(repo.folder), str(tmp_path / "bare.git"))
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    assert list(documents(Git(path=tmp_path / "bare.git"))) == ["a.md"]
    assert list(documents(Git(path=tmp_path / "tree"))) == ["a.md"]


def test_only_text_is_read(repo):
    repo.commit({
        "text.md": "words",
        "sixteen.txt": "Größe".encode("utf-16"),
        "run.sh": ("100755", "echo"),
        "image.png": b"\x89PNG\0\0",
        "late.bin": b"x" * 7_999 + b"\0",
        "empty.py": "",
        "blank.py": " \n\n",
        "large.psd": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
        "link.md": ("120000", "text.md"),
        "module": ("160000", ""),
        ".env": "KEY=1",
        ".github/a.md": "hidden",
        "llmapp.toml": "token = 1",
        "big.txt": "x" * 101,
    })  # fmt: skip
    assert set(documents(Git(path=repo.folder, max_bytes=100))) == {"text.md", "sixteen.txt", "run.sh"}
    assert "late.bin" not in documents(Git(path=repo.folder))


@pytest.mark.parametrize(
    ("glob", "expected"),
    [("*.md", {"a.md"}), ("**/*.md", {"a.md", "x/c.md"}), ("x/**", {"x/c.md", "x/y/d.txt"})],
)
def test_glob_chooses_the_files(repo, glob, expected):
    repo.commit(dict.fromkeys(("a.md", "b.txt", "x/c.md", "x/y/d.txt"), "words"))
    assert set(documents(Git(path=repo.folder, glob=glob))) == expected


ODD = [
    "a b.txt",
    "Übersicht – größer.txt",
    "名前.txt",
    "line\nbreak.txt",
    "tab\t.txt",
    "quote'\".txt",
    "-rf",
    "--help",
    "%41",
    ":(top)x",
]


def test_odd_names_come_through(repo):
    repo.commit(dict.fromkeys(ODD, "words"))
    assert set(documents(Git(path=repo.folder))) == set(ODD)


def test_a_name_that_is_no_unicode_gets_a_readable_id(repo):
    repo.commit({os.fsdecode(b"caf\xe9.txt"): "words"})
    assert documents(Git(path=repo.folder))["caf\\xe9.txt"].content() == b"words"


def test_branches_tags_and_commits_are_refs(repo):
    first = repo.commit({"a.md": "one"})
    repo.git("tag", "-m", "a tag", "v1", first)
    repo.commit({"a.md": "two"}, ref="refs/heads/topic/x")
    repo.commit({"a.md": "three"})
    texts = {ref: documents(Git(path=repo.folder, ref=ref))["a.md"].content() for ref in ("v1", "topic/x", "HEAD", first)}
    assert texts == {"v1": b"one", "topic/x": b"two", "HEAD": b"three", first: b"one"}


def test_revisions_are_blobs_so_the_same_content_has_the_same_one(repo):
    repo.commit({"a.md": "same", "b.md": "same", "c.md": "other"})
    before = documents(Git(path=repo.folder))
    assert before["a.md"].revision == before["b.md"].revision != before["c.md"].revision
    repo.commit({"a.md": "same", "c.md": "new"})
    assert documents(Git(path=repo.folder))["a.md"].revision == before["a.md"].revision


def test_a_link_for_people_can_be_set(repo):
    repo.commit({"a b.md": "words"})
    connector = Git(path=repo.folder, ref="main", link="https://git.example/src/{ref}/{path}")
    assert documents(connector)["a b.md"].uri == "https://git.example/src/main/a%20b.md"
    assert Git(url="https://git.example/o/r.git")._uri("x/a b.md") == "https://git.example/o/r/blob/HEAD/x/a%20b.md"
    assert Git(url="git@git.example:o/r.git")._uri("a.md") == "git@git.example:o/r.git:a.md"


# ---- what has changed


def test_only_differences_are_read_and_the_checkpoint_comes_last(repo):
    first = repo.commit({"keep": "1", "edit": "1", "drop": "1", "flip": "1", "grow": "1", "old name": "1", "to link": "1"})
    connector = Git(path=repo.folder, max_bytes=100)
    cursor = read(connector)[1]
    assert cursor == first
    assert read(connector, cursor) == ([], first)
    last = repo.commit({
        "keep": ("100755", "1"), "edit": "2", "add": "1", "flip": b"\0", "grow": "x" * 101, "new name": "1", "to link": ("120000", "keep"),
    })  # fmt: skip
    changes, cursor = read(connector, cursor)
    assert cursor == last
    assert [change.document.id if isinstance(change, Upsert) else change for change in changes] == [
        "add", Delete("drop"), "edit", Delete("flip"), Delete("grow"), "new name", Delete("old name"), Delete("to link"),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_reading_in_steps_ends_where_reading_at_once_does(repo, seed):
    """Adds, edits, deletions, renames, mode changes, binary flips, growth, links, merges and force pushes, by chance."""
    chance = random.Random(seed)
    connector = Git(path=repo.folder, max_bytes=60)
    files, commits, held, cursor = {"a": "first"}, [], {}, None
    for _ in range(12):
        for _ in range(chance.randint(0, 5)):
            mutate(files, chance)
        parents = None
        if commits and chance.random() < 0.3:  # a merge, or a history that was rewritten
            parents = chance.sample([commit for commit, _ in commits], k=min(len(commits), chance.randint(1, 2)))
        if commits and chance.random() < 0.2:
            files = dict(chance.choice(commits)[1])
        commits.append((repo.commit(files, parents=parents), dict(files)))
        if chance.random() < 0.7:
            changes, cursor = read(connector, cursor)
            held = apply(held, changes)
            assert held == apply({}, read(connector)[0]) == expected(files)


def mutate(files, chance):
    name = chance.choice(["a", "b", "sub/c", "sub/d e", "-f", "line\nbreak", "ü", "x/y/z"])
    value = chance.choice(["text", b"\0binary", "long" * 20, "", "v", ("100755", "text"), ("120000", "a"), ("160000", "")])
    if chance.random() < 0.3:
        files.pop(name, None)
    elif files and chance.random() < 0.3:
        moved = chance.choice(sorted(files))
        files[name] = files.pop(moved)
    else:
        files[name] = f"{value}{chance.randint(0, 9)}" if value == "v" else value


def apply(held, changes):
    for change in changes:
        match change:
            case Upsert(document):
                held = {**held, document.id: document.content()}
            case Delete(document_id):
                held = {name: text for name, text in held.items() if name != document_id}
    return held


def expected(files):
    plain = {name: value if isinstance(value, tuple) else ("100644", value) for name, value in files.items()}
    return {
        name: text.encode()
        for name, (mode, text) in plain.items()
        if mode.startswith("100") and isinstance(text, str) and 0 < len(text) <= 60
    }


def test_a_commit_that_is_gone_rejects_the_cursor(repo):
    old = repo.commit({"a.md": "old"})
    repo.commit({"a.md": "new"}, parents=[])
    assert list(documents(Git(path=repo.folder), old)) == ["a.md"], "not yet collected, it still serves"
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    with pytest.raises(CursorRejectedError, match="is gone"):
        read(Git(path=repo.folder), old)


@pytest.mark.parametrize("cursor", [7, "", "HEAD", "--help", "main", ["a"], "0" * 39, "f" * 40, "f" * 40 + "\n"])
def test_a_cursor_that_is_no_known_commit_is_rejected(repo, cursor):
    repo.commit({"a.md": "words"})
    with pytest.raises(CursorRejectedError):
        read(Git(path=repo.folder), cursor)


def test_an_empty_commit_is_only_a_checkpoint(repo):
    first = repo.commit({"a.md": "words"})
    repo.commit({})
    assert read(Git(path=repo.folder))[0] == []
    assert read(Git(path=repo.folder), first)[0] == [Delete("a.md")]


# ---- what is wrong


def test_a_missing_repository_or_ref_is_named(repo, tmp_path):
    with pytest.raises(SourceNotFoundError, match="no commit HEAD"):
        read(Git(path=repo.folder))
    repo.commit({"sub/a.md": "words"})
    with pytest.raises(SourceNotFoundError, match="no commit nowhere"):
        read(Git(path=repo.folder, ref="nowhere"))
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(SourceNotFoundError, match="is no git repository"):
            read(Git(path=path))


def test_a_content_that_is_missing_is_a_failure_and_the_rest_is_read(repo):
    repo.commit({"a.md": "one", "b.md": "two"})
    blob = repo.git("rev-parse", "HEAD:a.md").decode().strip()
    (repo.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    changes, _ = read(Git(path=repo.folder))
    assert changes[0] == Failure("a.md", "its content is missing from the repository", uri=f"{repo.folder}:a.md")
    assert changes[1].document.content() == b"two"


def test_a_listing_that_is_incomplete_stops_the_run(repo):
    repo.commit({"a.md": "one", "sub/b.md": "two"})
    tree = repo.git("rev-parse", "HEAD:sub").decode().strip()
    (repo.folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(ConnectorError, match="ls-tree"):
        read(Git(path=repo.folder))


def test_a_machine_without_git_is_told_to_install_it(repo, monkeypatch):
    repo.commit({"a.md": "words"})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConnectorError) as caught:
        read(Git(path=repo.folder))
    assert "install git" in f"{caught.value.hint} {caught.value.__cause__ and caught.value.__cause__.hint}"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"path": "x", "url": "https://git.example/r"},
        {"path": "x", "ref": "--upload-pack=touch x"},
        {"path": "x", "ref": "a:b"},
        {"path": "x", "ref": "+a"},
        {"path": "x", "ref": ""},
        {"path": "x", "token": TOKEN},
        {"url": "http://git.example/r", "token": TOKEN},
        {"url": "ssh://git@git.example/r", "token": TOKEN},
        {"url": f"https://user:{TOKEN}@git.example/r"},
        {"url": f"https://{TOKEN}@git.example/r"},
        {"url": f"https://git.example/r?token={TOKEN}"},
        {"url": "ext::sh -c touch% x"},
        {"url": "ext::sh"},
        {"url": "fd::17"},
        {"url": "file:///etc"},
        {"url": "git://git.example/r"},
        {"url": "/etc"},
        {"url": "-oProxyCommand=x@git.example:r"},
        {"url": "ssh://-oProxyCommand=x/r"},
        {"url": "ssh://git@-oProxyCommand=x/r"},
        {"url": "git@-oProxyCommand=x:r"},
        {"url": "git@git.example:-x"},
        {"url": "git@git.example::x"},
        {"url": "https://git.example/r\nx"},
        {"url": "https://git.example/r\0x"},
    ],
)
def test_settings_that_could_do_harm_are_refused(settings):
    with pytest.raises(ValidationError) as caught:
        Git(**settings)
    assert all(TOKEN not in problem["msg"] for problem in caught.value.errors())


@pytest.mark.parametrize(
    "url", ["https://git.example/o/r.git", "https://[::1]:8443/~me/r", "ssh://git@git.example:22/o/r", "ssh://git.example/r", "git@git.example:o/r.git"]
)  # fmt: skip
def test_addresses_of_https_and_ssh_are_taken(url):
    assert Git(url=url).url == url


# ---- a repository that means harm


def test_nothing_that_a_repository_names_is_run(repo, tmp_path, monkeypatch):
    proof = tmp_path / "proof"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{proof}'\nexit 1\n")
    program.chmod(0o755)
    cursor = repo.commit({"a.md": "words"})
    attributes = "* filter=evil diff=evil textconv=evil merge=evil export-subst ident working-tree-encoding=utf-16\n"
    repo.commit({"a.md": "changed $Id$", "b.md": "words", ".gitattributes": attributes, ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ext::sh\n\tupdate = !touch x\n'})  # fmt: skip
    hooks = repo.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc"):
        (hooks / hook).write_bytes(program.read_bytes())
        (hooks / hook).chmod(0o755)
    (repo.folder / ".git" / "info" / "attributes").write_text(attributes)
    (repo.folder / ".git" / "config").write_text(
        f"""
[core]
	repositoryformatversion = 1
	hooksPath = {hooks}
	fsmonitor = {program}
	pager = {program}
	editor = {program}
	sshCommand = {program}
	gitProxy = {program}
	askPass = {program}
	alternateRefsCommand = {program}
[pager]
	cat-file = {program}
	ls-tree = {program}
	rev-parse = {program}
[alias]
	cat-file = !{program}
	ls-tree = !{program}
	rev-parse = !{program}
[filter "evil"]
	clean = {program}
	smudge = {program}
	process = {program}
	required = true
[diff]
	external = {program}
[diff "evil"]
	command = {program}
	textconv = {program}
[credential]
	helper = !{program}
[uploadpack]
	packObjectsHook = {program}
[gpg]
	program = {program}
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[extensions]
	partialClone = origin
[remote "origin"]
	url = ext::{program}
	promisor = true
	partialclonefilter = blob:none
"""
    )
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_PROXY_COMMAND"):
        monkeypatch.setenv(name, str(program))
    connector = Git(path=repo.folder)
    assert {name: d.content() for name, d in documents(connector).items()} == {"a.md": b"changed $Id$", "b.md": b"words"}
    assert set(documents(connector, cursor)) == {"a.md", "b.md"}
    blob = documents(connector)["b.md"].revision.removeprefix("git:")
    (repo.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with contextlib.suppress(ConnectorError):
        read(connector)
    assert not proof.exists()
    with contextlib.suppress(subprocess.CalledProcessError):
        repo.git("cat-file", "blob", blob)
    assert proof.exists(), "git left to itself asks the promised remote, and so runs the program"


def test_the_environment_cannot_lead_elsewhere(repo, tmp_path, monkeypatch):
    repo.commit({"a.md": "words"})
    other = Repo(tmp_path / "other")
    other.commit({"secret.md": "secret"})
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.folder / ".git" / "objects"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    assert list(documents(Git(path=repo.folder))) == ["a.md"]
    assert not (tmp_path / "trace").exists()


# ---- a repository elsewhere


class Forge(BaseHTTPRequestHandler):
    """git's own server program behind HTTP, with a token that must be right."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        address = urlsplit(self.path)
        self.server.seen.append((address.path, self.headers.get("Authorization")))
        if address.path.startswith("/moved/"):
            self.answer(302, {"Location": self.server.moved_to + self.path.removeprefix("/moved")})
        elif address.path.startswith("/echo/"):
            self.answer(200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, self.echo())
        elif address.path.startswith("/broken/"):
            self.answer(503)
        elif self.server.token and self.headers.get("Authorization") != basic("x-access-token", self.server.token):
            self.answer(401, {"WWW-Authenticate": "Basic realm=x"})
        else:
            self.serve(address)

    do_POST = do_GET  # noqa: N815 - as the server wants it

    def echo(self):
        secret = self.headers.get("Authorization", "")
        error = f"ERR no entry with {secret} or {base64.b64decode(secret.partition(' ')[2]).decode()}\n".encode()
        return b"001e# service=git-upload-pack\n0000" + f"{len(error) + 4:04x}".encode() + error

    def serve(self, address):
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            given = b"".join(iter(self.chunk, b""))
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull, "PATH_INFO": address.path, "QUERY_STRING": address.query,
            "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "", "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=given, env=environment, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        self.answer(int(headers.pop("Status", "200").split()[0]), headers, body)

    def chunk(self):
        size = int(self.rfile.readline(), 16)
        return self.rfile.read(size + 2)[:size]

    def answer(self, status, headers=None, body=b""):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def basic(user, token):
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@contextlib.contextmanager
def serving(root, token=""):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    server.root, server.token, server.seen, server.url = root, token, [], f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def forge(tmp_path):
    with serving(tmp_path, TOKEN) as server:
        yield server


class TestARemoteKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, repo, forge, tmp_path):
        repo.commit({"a.md": "# A", "sub/b.txt": "b"})
        return Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), cache=tmp_path / "cache")


@pytest.mark.parametrize("keeps", [True, False], ids=["with a cache", "without a cache"])
def test_a_remote_is_read_in_steps(repo, forge, tmp_path, keeps):
    connector = Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), cache=tmp_path / "cache" if keeps else None)
    repo.commit({"a.md": "one", "b.md": "one"})
    changes, cursor = read(connector)
    assert [change.document.uri for change in changes] == [f"{forge.url}/repo/blob/HEAD/{name}" for name in ("a.md", "b.md")]
    repo.commit({"a.md": "two", "c.md": "one"})
    changes, cursor = read(connector, cursor)
    assert apply({"a.md": b"one", "b.md": b"one"}, changes) == {"a.md": b"two", "c.md": b"one"}
    repo.commit({"c.md": "forced"}, parents=[])
    changes, cursor = read(connector, cursor)
    assert apply({"a.md": b"two", "c.md": b"one"}, changes) == {"c.md": b"forced"}
    assert read(connector, cursor)[0] == []


def test_refs_of_a_remote_are_branches_tags_and_commits(repo, forge):
    first = repo.commit({"a.md": "one"})
    repo.git("tag", "-m", "a tag", "v1", first)
    repo.commit({"a.md": "two"}, ref="refs/heads/topic/x")
    repo.commit({"a.md": "three"})
    for ref, text in {"v1": b"one", "topic/x": b"two", "main": b"three", first: b"one"}.items():
        connector = Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), ref=ref)
        assert documents(connector)["a.md"].content() == text


def test_only_the_commit_is_fetched_and_later_only_what_is_new(repo, forge, tmp_path):
    for number in range(5):
        repo.commit({f"f{n}": f"{n}" for n in range(50)} | {"a.md": f"version {number}"})
    connector = Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), cache=tmp_path / "cache")
    cursor = read(connector)[1]
    (folder,) = (tmp_path / "cache").iterdir()

    def objects():
        shown = subprocess.run(
            ["git", "cat-file", "--batch-all-objects", "--batch-check"], capture_output=True, check=True, cwd=folder,
            env={"PATH": os.environ["PATH"], "GIT_DIR": str(folder)},
        )  # fmt: skip
        return len(shown.stdout.splitlines())

    assert objects() == 1 + 1 + 51
    repo.commit({f"f{n}": f"{n}" for n in range(50)} | {"a.md": "new"})
    assert [change.document.id for change in read(connector, cursor)[0]] == ["a.md"]
    assert objects() == 1 + 1 + 51 + 3
    assert not (folder / "hooks").exists()


def test_a_cache_that_was_removed_is_fetched_again_and_a_forgotten_commit_rejects_the_cursor(repo, forge):
    connector = Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN))
    repo.commit({"a.md": "one", "b.md": "one"})
    cursor = read(connector)[1]
    repo.commit({"a.md": "two"}, parents=[])
    assert [type(change) for change in read(connector, cursor)[0]] == [Upsert, Delete]
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    with pytest.raises(CursorRejectedError, match="is gone"):
        read(connector, cursor)


def test_the_token_reaches_the_server_and_nothing_else(repo, forge, tmp_path, monkeypatch):
    """Not the arguments of any process, not a stored file, not an error."""
    repo.commit({"a.md": "words"})
    called = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: called.append(a) or popen(*a, **k))
    monkeypatch.setenv("GIT_TRACE_CURL", str(tmp_path / "trace"))
    connector = Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), cache=tmp_path / "cache")
    read(connector)
    assert {secret for _, secret in forge.seen} == {basic("x-access-token", TOKEN)}
    secrets = (TOKEN, basic("x-access-token", TOKEN).removeprefix("Basic "))
    assert called
    assert not any(secret in str(called) for secret in secrets)
    stored = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert stored
    assert not any(secret.encode() in file.read_bytes() for file in stored for secret in secrets)
    assert not (tmp_path / "trace").exists()
    assert not any(secret in repr(connector) for secret in secrets)


def test_a_redirect_does_not_carry_the_token_to_another_server(repo, forge, tmp_path):
    repo.commit({"a.md": "words"})
    with serving(tmp_path) as elsewhere:
        forge.moved_to = elsewhere.url
        with pytest.raises(ConnectorError) as caught:
            read(Git(url=f"{forge.url}/moved/repo", token=SecretStr(TOKEN)))
        assert elsewhere.seen == []
    assert "redirects" in caught.value.hint


def test_a_server_that_repeats_the_token_does_not_get_it_into_the_error(forge):
    with pytest.raises(ConnectorError, match="no entry with Basic … or") as caught:
        read(Git(url=f"{forge.url}/echo/repo", token=SecretStr(TOKEN)))
    assert TOKEN not in str(caught.value)
    assert basic("x-access-token", TOKEN).removeprefix("Basic ") not in str(caught.value)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("token", [None, SecretStr("wr0ng")])
def test_a_refused_token_is_an_error_of_its_own(repo, forge, token):
    repo.commit({"a.md": "words"})
    with pytest.raises(ConnectorAuthError) as caught:
        read(Git(url=f"{forge.url}/repo", token=token))
    assert "wr0ng" not in str(caught.value)


def test_what_a_remote_lacks_is_told_apart_from_one_that_does_not_answer(repo, forge):
    repo.commit({"a.md": "words"})
    for settings in ({"url": f"{forge.url}/nowhere"}, {"url": f"{forge.url}/repo", "ref": "nowhere"}):
        with pytest.raises(SourceNotFoundError):
            read(Git(**settings, token=SecretStr(TOKEN)))
    for url in (f"{forge.url}/broken/repo", "http://127.0.0.1:9/repo"):
        with pytest.raises(SourceUnavailableError):
            read(Git(url=url))


def test_a_remote_that_hangs_is_given_up(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceUnavailableError, match="longer than"):
        read(Git(url=f"http://127.0.0.1:{silent.getsockname()[1]}/repo", timeout_s=0.5))


def test_a_file_in_the_place_of_the_cache_is_an_error_of_the_source(repo, forge, tmp_path):
    (tmp_path / "cache").write_text("x")
    with pytest.raises(ConnectorError):
        read(Git(url=f"{forge.url}/repo", token=SecretStr(TOKEN), cache=tmp_path / "cache"))


# ---- through the host


@pytest.fixture
def ingestor(catalog, embedder):
    parser = ProcessParser()
    yield Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)
    parser.close()


def test_the_host_follows_the_commits(repo, ingestor, catalog):
    repo.commit({"a.md": "# A\n\nwords", "b.py": "print(1)", "empty.py": "", "logo.png": b"\x89PNG\0"})
    connector = Git(path=repo.folder)
    report = ingestor.run("code", connector, default_acl=("public",))
    assert (report.added, report.quarantined) == (2, 0)
    assert ingestor.run("code", connector, default_acl=("public",)).unchanged == 0
    repo.commit({"a.md": "# A\n\nother words", "c.txt": "new"})
    report = ingestor.run("code", connector, default_acl=("public",))
    assert (report.added, report.changed, report.deleted) == (1, 1, 1)
    assert catalog.document_ids("code") == {"a.md", "c.txt"}
    repo.commit({"a.md": "# A\n\nother words", "d.txt": "rewritten"}, parents=[])
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    ingestor.run("code", connector, default_acl=("public",))
    assert catalog.document_ids("code") == {"a.md", "d.txt"}
