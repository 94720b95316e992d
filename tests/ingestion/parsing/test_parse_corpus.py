"""The gate over the parse corpus: no crash, nothing over the time limit, clean files reach 0.9 of their words."""

import contextlib
import importlib
import sys
from pathlib import Path

import pytest

from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.parsing.limits import Limits

pytestmark = pytest.mark.data
_BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(_BENCHMARKS))
    try:
        yield importlib.import_module("parse_corpus")
    finally:
        sys.path.remove(str(_BENCHMARKS))


@pytest.fixture(scope="module")
def found(benchmark, data_dir):
    folder = data_dir / "parse-corpus"
    if not folder.is_dir():
        pytest.skip("no parse corpus")
    with contextlib.closing(ProcessParser(workers=1, passwords=benchmark.passwords(folder))) as parser:
        return list(benchmark.outcomes(folder, parser))


def test_every_file_is_read_or_refused_and_no_worker_dies(found):
    assert len(found) == 116
    assert not [one for one in found if one.code == "parser_crashed"]


def test_nothing_takes_longer_than_the_limit(found):
    assert max(one.seconds for one in found) < Limits().seconds


def test_clean_files_reach_the_words_that_are_expected(found, benchmark):
    clean = [
        one
        for one in found
        if one.kind == "clean" and one.path.rpartition("/")[2] != "MEDRPT-2024-PAT-3847_medical_report_scan.pdf"
    ]
    assert not [one for one in clean if one.code != "read"], "all but the scan, which has no text layer"
    compared = [one for one in clean if one.reached is not None]
    assert len(compared) == 40
    assert not [(one.path, one.reached) for one in compared if one.reached < benchmark.ENOUGH]


def test_encrypted_files_open_with_the_password_that_is_given(found):
    given = [one for one in found if one.password]
    assert len(given) == 4
    assert {one.code for one in given} == {"read"}


def test_every_refusal_says_why(found):
    assert all(one.reason for one in found if one.code != "read")


def test_hidden_text_of_a_page_is_left_out(data_dir):
    files = data_dir / "parse-corpus" / "files" / "readability"
    with contextlib.closing(ProcessParser(workers=1)) as parser:
        page = parser.parse((files / "remove-script-tags.html").read_bytes(), media_type="text/html", name="a.html")
        hidden = parser.parse((files / "visibility-hidden.html").read_bytes(), media_type="text/html", name="b.html")
    assert "wrong" not in page.text
    assert "Iframe fallback" not in hidden.text
