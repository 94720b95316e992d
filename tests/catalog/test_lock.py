import os
import signal
import subprocess
import sys
import time

import pytest

from llmapp.catalog.lock import FileLock
from llmapp.errors import LockedError

HOLD = """
import sys, time
from pathlib import Path
from llmapp.catalog.lock import FileLock
lock = FileLock(Path(sys.argv[1]), purpose="the index")
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_holds_the_lock(tmp_path, holder):
    lock = FileLock(tmp_path / "x.lock", purpose="the index")
    assert not lock.try_acquire()
    with pytest.raises(LockedError, match=f"the index is held by process {holder.pid}"):
        lock.acquire()
    assert not lock.held


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    lock = FileLock(tmp_path / "x.lock", purpose="the index")
    deadline = time.monotonic() + 5
    while not lock.try_acquire() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lock.held
    lock.release()


def test_it_is_reentrant_and_released_by_the_outermost_block(tmp_path):
    lock = FileLock(tmp_path / "x.lock", purpose="the index")
    with lock:
        with lock:
            assert lock.held
        assert lock.held
    assert not lock.held


def test_two_objects_of_one_process_exclude_each_other(tmp_path):
    one, two = (FileLock(tmp_path / "x.lock", purpose="it") for _ in range(2))
    with one:
        assert not two.try_acquire()
    assert two.try_acquire()
    two.release()
