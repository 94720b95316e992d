"""`kill -9` at any moment of an ingest ends, after a rerun, in the same index and the same answers."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmapp.costs.ledger import Ledger

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/01_ask_your_files"
QUERIES = ["deductible for water damage", "how to file a complaint", "phone number of the claims department"]
KILLS = 20


def llmapp(folder, *arguments):
    command = [sys.executable, "-m", "llmapp.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def answers(folder):
    hits = [json.loads(llmapp(folder, "search", query, "--json"))["hits"] for query in QUERIES]
    return [[(hit["document_id"], hit["start_char"], round(hit["score"], 9)) for hit in found] for found in hits]


def embedding_calls(folder):
    with closing(Ledger(folder / ".llmapp/ledger.db")) as ledger:
        return sum(row.calls for row in ledger.spend() if row.kind == "embed")


def lay_out(folder):
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".llmapp", "__pycache__"))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("whole") / "app")
    started = time.monotonic()
    llmapp(folder, "ingest")
    seconds = time.monotonic() - started
    return folder, seconds, answers(folder)


def test_twenty_kills_and_a_rerun_end_in_the_same_index(tmp_path, uninterrupted):
    whole, seconds, expected = uninterrupted
    folder = lay_out(tmp_path / "app")
    seed = random.SystemRandom().randrange(10**9)
    moments = random.Random(seed)
    survived = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "llmapp.cli", "ingest"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moments.uniform(0.1, 1.0) * seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            survived += 1
            shutil.rmtree(folder / ".llmapp")
        process.wait()
    assert survived < KILLS, "no kill hit a running ingest"
    llmapp(folder, "ingest")
    assert llmapp(folder, "index", "digest") == llmapp(whole, "index", "digest"), f"seed {seed}"
    assert answers(folder) == expected, f"seed {seed}"
    assert json.loads(llmapp(folder, "index", "verify", "--json"))["ok"], f"seed {seed}"


def damage_by_deleting(chroma):
    shutil.rmtree(chroma)


def damage_by_truncating(chroma):
    for file in chroma.rglob("*"):
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)


def damage_by_emptying(chroma):
    for file in chroma.rglob("*"):
        if file.is_file():
            os.truncate(file, 0)


@pytest.mark.parametrize("damage", [damage_by_deleting, damage_by_truncating, damage_by_emptying])
def test_a_damaged_index_is_noticed_and_rebuilt_without_embedding(tmp_path, uninterrupted, damage):
    whole, _, expected = uninterrupted
    folder = tmp_path / "app"
    shutil.copytree(whole, folder)
    damage(folder / ".llmapp/chroma")
    done = subprocess.run(
        [sys.executable, "-m", "llmapp.cli", "index", "verify"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert answers(folder) == expected
    before = embedding_calls(folder)
    rebuilt = json.loads(llmapp(folder, "index", "rebuild", "--json"))
    assert rebuilt["chunks"] > 0
    assert embedding_calls(folder) == before > 0
    assert json.loads(llmapp(folder, "index", "verify", "--json"))["ok"]
    assert llmapp(folder, "index", "digest") == llmapp(whole, "index", "digest")
