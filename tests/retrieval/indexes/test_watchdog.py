import subprocess
import sys

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
