"""A connector of a third party: a wheel of its own, installed by pip beside llmapp, found by its entry point."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

CONNECTOR = '''
"""A journal, one entry a line."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from llmapp.connector import Change, Checkpoint, Cursor, Document, Upsert


class Journal(BaseModel, frozen=True):
    """Entries of a journal, one a line, appended only."""

    path: Path

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        done = cursor if isinstance(cursor, int) else 0
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines[done:], start=done + 1):
            yield Upsert(Document(id=str(number), uri=f"{self.path.name}#L{number}", text=line))
        yield Checkpoint(len(lines))
'''
BROKEN = "import sys\nsys.exit('a plugin that ends the program')\n"
SETTINGS = """
[[sources]]
name = "diary"
connector = "journal"
acl = ["public"]
settings = { path = "diary.txt" }
"""


def wheel(folder, name, code, points):
    """A wheel as the format asks for: modules, metadata, and a record of both."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: llmapp\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[llmapp.connectors]\n{points}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    made = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the good package and a broken one, as pip installs them."""
    folder = tmp_path_factory.mktemp("third_party")
    wheels = [
        wheel(folder, "acme_journal", CONNECTOR, "journal = acme_journal:Journal"),
        wheel(folder, "acme_broken", BROKEN, "broken = acme_broken:Broken\nfiles = acme_broken:Files\nodd ="),
    ]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, "--target", folder / "site", *wheels], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def llmapp(site, tmp_path):
    """Runs a verb in a process of its own that has the packages on its path."""
    (tmp_path / "llmapp.toml").write_text(SETTINGS)
    (tmp_path / "diary.txt").write_text("The pump was repaired in March.\nThe valve leaks again.\n")

    def run(*arguments):
        command = [sys.executable, "-m", "llmapp.cli", *arguments, "-c", str(tmp_path), "--json"]
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, json.loads(done.stdout)

    return run


def test_a_connector_is_written_in_under_25_lines():
    assert len(CONNECTOR.strip().splitlines()) < 25


def test_it_is_ingested_and_found_and_goes_on_where_it_ended(llmapp, tmp_path):
    code, report = llmapp("ingest")
    assert code == 0, report
    assert report["sources"][0]["added"] == 2
    code, found = llmapp("search", "leaking valve")
    assert found["hits"][0]["uri"] == "diary.txt#L2"
    with (tmp_path / "diary.txt").open("a") as diary:
        diary.write("A new pump was ordered.\n")
    assert llmapp("ingest")[1]["sources"][0]["added"] == 1
    assert llmapp("status")[1]["documents"] == 3


def test_it_keeps_the_contract_on_its_source(llmapp):
    code, report = llmapp("connector", "test", "diary")
    assert code == 0, report
    assert {check["outcome"] for check in report["checks"]} == {"passed"}


def test_a_broken_package_beside_it_is_an_error_of_its_own_only(llmapp):
    code, report = llmapp("connector", "test", "broken")
    assert (code, report["error"]["code"]) == (3, "config_invalid")
    assert "acme-broken cannot be loaded: SystemExit: a plugin that ends the program" in report["error"]["message"]
    code, report = llmapp("connector", "test", "files", "--set", "path=diary.txt")
    assert code == 0, report
    assert llmapp("status")[0] == 0


def test_all_are_listed_and_the_broken_ones_with_their_reason(site, tmp_path):
    command = [sys.executable, "-m", "llmapp.cli", "connector", "list", "--json"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    listed = {(one["name"], one["package"]): one for one in json.loads(done.stdout)["connectors"]}
    assert listed["journal", "acme-journal"]["summary"] == "Entries of a journal, one a line, appended only."
    assert listed["journal", "acme-journal"]["problem"] is None
    assert listed["files", "llmapp"]["problem"] is None
    assert "SystemExit" in listed["broken", "acme-broken"]["problem"]
    assert "llmapp has" in listed["files", "acme-broken"]["problem"]
    assert "names no class" in listed["odd", "acme-broken"]["problem"]
