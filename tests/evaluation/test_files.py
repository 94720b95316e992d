"""Files are checked before anything is asked, and written whole."""

import pytest

from llmapp.errors import EvaluationError
from llmapp.evaluation.files import check_places, write_file


@pytest.mark.parametrize(("name", "says"), [("none/r.html", "there is no folder"), ("taken", "it is a folder")])
def test_a_place_that_cannot_be_written_is_an_error_beforehand_and_afterwards(tmp_path, name, says):
    (tmp_path / "taken").mkdir()
    with pytest.raises(EvaluationError, match=says):
        check_places(None, tmp_path / "good.html", tmp_path / name)
    with pytest.raises(EvaluationError, match="cannot be written"):
        write_file(tmp_path / name, "x")


def test_half_a_character_ends_no_run_that_may_have_been_paid_for(tmp_path):
    write_file(tmp_path / "f", "leave \ud83d days")
    assert (tmp_path / "f").read_text(encoding="utf-8") == "leave ? days"


def test_a_file_is_replaced(tmp_path):
    for text in ("one\n", "two\r\n"):
        check_places(tmp_path / "f")
        write_file(tmp_path / "f", text)
    assert (tmp_path / "f").read_bytes() == b"two\r\n"
