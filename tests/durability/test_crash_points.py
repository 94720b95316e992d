"""`kill -9` at every named commit point and at random moments ends, after a rerun, as if nothing had happened.

Checked after every kill: documents are whole and readable by nobody new. After the rerun: the digest is that of a fresh ingest,
the vector index agrees, nothing is left over, and nothing was paid twice but a batch that had not reached the catalog.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killing.py")
KILLS = 200


@pytest.fixture(scope="module")
def report():
    if not hasattr(os, "fork"):
        pytest.skip("every kill is a fork")
    seed = random.SystemRandom().randrange(10**9)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # its threads would not survive a fork
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what a dead process wrote is there all the same
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        command = [sys.executable, "-W", "error", str(PROGRAM), f"{folder}/kills", str(seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kill_is_made_good_by_a_rerun(report):
    assert not report["faults"], f"seed {report['seed']}: " + "\n".join(report["faults"][:20])


def test_there_were_two_hundred_kills_and_each_hit(report):
    at_points = sum(len(moments) for moments in report["kills"].values())
    assert at_points >= KILLS, report
    assert report["random_kills"] >= 40
    assert not report["missed"]


def test_every_public_method_of_the_catalog_that_writes_was_killed_before_within_and_after_its_commit(report):
    moments = {point: set(kills) for point, kills in report["kills"].items()}
    assert moments == {point: {"before", "within", "after"} for point in report["points"]}
