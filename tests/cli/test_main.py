import subprocess
import sys

import pytest

CODE = """
import atexit, sys
import llmapp.cli.main as command

def app():
    atexit.register(lambda: print("what a library sends at the end"))
    print("output")
    sys.exit({status})

command.app = app
command.main()
"""


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("7", 7), ("None", 0), ("'a message'", 1), ("1 / 0", 1)])
def test_a_process_leaves_with_its_exit_code_after_all_that_others_do_at_the_end(status, code):
    ended = subprocess.run([sys.executable, "-c", CODE.format(status=status)], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ended.stdout.splitlines() == ["output", "what a library sends at the end"]
