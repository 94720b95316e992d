"""The verbs on models."""

import json

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": "80"})


def test_fit_shows_bars_verdicts_and_when_the_rule_holds():
    done = run("fit", "llama-3.1-8b", "--gpu", "24GB")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if "Q4_K_M" in line]
    assert "4.58" in line
    assert "fits" in line
    assert "131,072" in line
    assert "█" in line
    text = " ".join(done.output.split())
    assert "131,072 bytes a token" in text
    assert "22.35 GiB (24.00 GB)" in text
    assert "true of 8-bit weights, in decimal gigabytes, without KV cache" in text
    assert max(map(len, done.output.splitlines())) <= 80


def test_fit_prints_whole_bytes_as_json():
    done = run("fit", "7B", "--gpu", "24GiB", "--context", "4096", "--json")
    shape = json.loads(done.output)
    assert shape["placement"]["gpu_bytes"] == 24 * 2**30
    assert shape["model"]["kv_bytes_per_token"] is None
    by_name = {each["format"]: each for each in shape["formats"]}
    assert by_name["bf16, fp16"]["weights_bytes"] == 14 * 10**9
    assert by_name["int8, fp8"]["verdict"] == "fits"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("llama9", "--gpu", "24GB"), 11),
        (("7B", "--gpu", "24"), 14),
        ((".", "--gpu", "1GB"), 10),
        (("8x7B", "--gpu", "1GB"), 14),
    ],
)
def test_what_cannot_be_sized_is_one_line_with_a_hint(tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    done = run("fit", *arguments)
    assert done.exit_code == code
    assert done.output.startswith("error: ")
    assert len(done.output.splitlines()) == 2
