"""A disk that fills up at any point of a sync ends it with an error that helps, and nothing that was committed is lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("filling.py")


@pytest.fixture
def small_disk(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(folder, kind):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), kind], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert not [result for result in results if result["faults"]]
    return [result["error"] for result in results]


def check(errors):
    hits = [error for error in errors if error]
    assert len(hits) >= 30
    assert None in errors, "the largest size was to be enough"
    assert all(error.startswith(("catalog.db: ", "the ledger cannot be used: ledger.db: ")) for error in hits)
    assert all("free some disk space" in error for error in hits)


def test_on_a_full_disk_a_sync_ends_with_a_hint_and_goes_on_when_there_is_room(small_disk):
    check(fill(small_disk, "tmpfs"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_where_a_file_cannot_grow_a_sync_ends_with_a_hint_and_goes_on_when_it_can(tmp_path):
    check(fill(tmp_path, "rlimit"))


def test_on_a_full_disk_the_catalog_stays_good_while_chroma_fails_and_both_agree_when_there_is_room(small_disk):
    errors = [error for error in fill(small_disk, "chroma") if error]
    assert [error for error in errors if error.startswith("catalog.db")]
    assert [error for error in errors if error.startswith("the vector index failed")]
    assert [error for error in errors if error.startswith("the vector index needs 64 MB of free disk")]
