import subprocess
import sys
import threading

import pytest

from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.indexes.chroma.watchdog import Watchdog


def test_a_panic_of_the_rust_side_is_a_typed_error():
    class Panic(BaseException):
        pass

    def panic():
        raise Panic("index out of bounds")

    with pytest.raises(IndexUnavailableError, match="index out of bounds"):
        Watchdog().run(5, panic)


def test_a_call_that_was_only_late_hangs_no_longer_once_it_ends():
    watchdog, ends, other_ends = Watchdog(), threading.Event(), threading.Event()
    for event in (ends, other_ends):
        with pytest.raises(IndexUnavailableError, match=r"has not answered for 0\.01 s"):
            watchdog.run(0.01, event.wait)
    ends.set()
    assert watchdog.hung is not None
    other_ends.set()
    while watchdog.hung:  # the threads that wait end as fast as they get their turn
        other_ends.wait(0.01)
    assert watchdog.run(5, lambda: "well") == "well"


def test_the_process_ends_while_a_call_hangs():
    script = """
import time
from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.indexes.chroma.watchdog import Watchdog
try:
    Watchdog().run(0.1, lambda: time.sleep(600))
except IndexUnavailableError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, timeout=30, capture_output=True, text=True)
    assert "has not answered" in ended.stdout
