"""Two processes at one application: writers take turns or say who is in the way, and a reader never sees half a document."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("writing.py")


class Process:
    """Another process, and what it says."""

    def __init__(self, *arguments):
        command = [sys.executable, str(PROGRAM), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def says(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with Process("sync", tmp_path_factory.mktemp("alone"), 0) as alone:
        assert alone.says() == {"pid": alone.process.pid, "doing": "syncing"}
        return alone.says()


def test_a_second_sync_says_at_once_who_is_in_the_way_and_one_that_waits_finds_nothing_to_do(tmp_path, undisturbed):
    with Process("hold", tmp_path) as first:
        assert first.says()["doing"] == "holding"
        with Process("sync", tmp_path, 0) as second:
            refused = _second_word(second)
        assert refused["locked"] == f"ingestion is held by process {first.process.pid}"
        assert refused["seconds"] < 30, "it waits for nothing"
        with Process("sync", tmp_path, 120) as patient:
            assert patient.says()["doing"] == "syncing"
            first.go_on()
            assert first.says()["digest"] == undisturbed["digest"]
            found = patient.says()
    assert (found["added"], found["embedded"]) == (0, 0)
    assert found["digest"] == undisturbed["digest"]


def _second_word(process):
    assert process.says()["doing"] == "syncing"
    return process.says()


def test_the_lock_of_a_process_that_was_killed_is_no_obstacle(tmp_path, undisturbed):
    with Process("hold", tmp_path) as first:
        assert first.says()["doing"] == "holding"
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert (tmp_path / ".llmapp/ingest.lock.pid").read_text() == str(first.process.pid)
        with Process("sync", tmp_path, 0) as second:
            found = _second_word(second)
    assert found["digest"] == undisturbed["digest"]
    assert found["index"]


def test_two_sources_written_at_once_without_the_lock_end_as_if_written_one_after_the_other(tmp_path, undisturbed):
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Process("one", folder, "feed") as first, Process("one", folder, "listing") as second:
            assert first.says()["doing"] == second.says()["doing"] == "ready"
            first.go_on()
            second.go_on()
            assert (first.says()["done"], second.says()["done"]) == ("feed", "listing")
        with Process("sync", folder, 0) as after:
            found = _second_word(after)
        assert found["added"] == 0
        assert {key: found[key] for key in ("digest", "leftovers", "index")} == {
            "digest": undisturbed["digest"],
            "leftovers": {},
            "index": True,
        }


def test_a_reader_never_sees_half_a_document_while_all_of_them_are_replaced(tmp_path):
    with Process("rewrite", tmp_path) as writer:
        writer.says()  # there is something to read
        with Process("read", tmp_path) as reader:
            assert reader.says()["doing"] == "reading"
            writer.go_on()
            while writer.says()["version"] < 12:
                pass
            reader.go_on()
            found = reader.says()
    assert not found["faults"]
    assert found["versions"] >= 2
