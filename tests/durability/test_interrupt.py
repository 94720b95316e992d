"""Ctrl-C in the middle of `llmapp ingest` ends it at once: what is committed is whole, and the next run goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmapp.catalog.catalog import Catalog

DOCUMENTS = 80
TOML = """
[[sources]]
name = "notes"
acl = ["public"]
settings = { path = "notes" }

[ingestion]
batch_chunks = 4
"""


def note(number):
    return f"# Note {number}\n\n" + " ".join(f"Sentence {word} of note {number} tells of a harbour." for word in range(12))


def lay_out(folder):
    notes = folder / "notes"
    notes.mkdir(parents=True)
    for number in range(DOCUMENTS):
        (notes / f"{number:03}.md").write_text(note(number), encoding="utf-8")
    (folder / "llmapp.toml").write_text(TOML, encoding="utf-8")
    return folder


def start(folder, *arguments):
    command = [sys.executable, "-m", "llmapp.cli", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def llmapp(folder, *arguments):
    process = start(folder, *arguments)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors + output
    return output


def committed(folder):
    """Texts that are committed, by file name."""
    file = folder / ".llmapp/catalog.db"
    if not file.exists():
        return {}
    with contextlib.closing(Catalog(file)) as catalog:
        names = catalog.document_ids("notes")
        return {Path(name).name: catalog.stored_text("notes", name).text for name in names}


def of_session(session):
    """Processes that are left of a session."""
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                left.append(int(folder.name))
    return left


def interrupt(process, folder, signalled):
    """Ctrl-C as soon as something is committed; whether it came before the end."""
    deadline = time.monotonic() + 120
    while not committed(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert committed(folder), process.communicate()
    with contextlib.suppress(ProcessLookupError):
        signalled(process.pid, signal.SIGINT)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("undisturbed") / "app")
    llmapp(folder, "ingest")
    return llmapp(folder, "index", "digest")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed by /proc")
@pytest.mark.parametrize("signalled", [os.kill, os.killpg], ids=["the process", "its whole group, as a terminal does"])
def test_ctrl_c_ends_an_ingest_with_whole_documents_and_the_next_goes_on(tmp_path, undisturbed, signalled):
    folder = lay_out(tmp_path / "app")
    process = start(folder, "ingest")
    interrupt(process, folder, signalled)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "run it again to go on" in errors
    found = committed(folder)
    assert 0 < len(found) < DOCUMENTS
    assert all(text == note(int(Path(name).stem)) for name, text in found.items())
    deadline = time.monotonic() + 10
    while of_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not of_session(process.pid), "worker processes are left behind"
    with contextlib.closing(Catalog(folder / ".llmapp/catalog.db")) as catalog:
        (run,) = catalog.runs()
    assert run.status == "interrupted"
    (report,) = json.loads(llmapp(folder, "ingest", "--json"))["sources"]
    assert report["unchanged"] >= len(found)
    assert llmapp(folder, "index", "digest") == undisturbed
    assert json.loads(llmapp(folder, "index", "verify", "--json"))["ok"]
