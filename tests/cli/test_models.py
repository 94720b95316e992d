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


def test_show_tells_every_fact_with_its_source():
    done = run("show", "openai:gpt-4o")
    assert done.exit_code == 0, done.output
    assert "128,000 tokens" in done.output
    assert "$2.5 in, $1.25 cached, $10 out" in done.output
    assert "[1] OpenAI's model pages" in done.output
    shape = json.loads(run("show", "openai:gpt-4o", "--json").output)
    assert shape["price"]["usd_per_million_tokens"]["input"] == 2.5
    assert shape["batch_price"]["usd_per_million_tokens"]["output"] == 5
    assert shape["limits"]["source"]
    assert shape["open_weights"] is None


def test_list_has_every_model_of_a_provider_with_price_and_limits():
    shape = json.loads(run("list", "--provider", "openai", "--json").output)
    by_name = {each["name"]: each for each in shape["models"]}
    assert by_name["openai:gpt-4.1"]["limits"]["context_window_tokens"] == 1_047_576
    assert by_name["openai:gpt-4.1"]["abilities"]["tools"] is True
    assert by_name["openai:gpt-4-32k"]["price"]["usd_per_million_tokens"]["output"] == 120
    (line,) = [line for line in run("list", "--provider", "openai").output.splitlines() if line.startswith(" gpt-4o-mini ")]
    assert "$0.15" in line
    assert "tsvc·" in line


def test_list_without_a_provider_has_the_users_own_and_the_open_models(tmp_path, monkeypatch):
    (tmp_path / "llmapp.toml").write_text(
        '[models."openai-compatible:mine"]\ncontext_window_tokens = 4321\ntools = true\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    by_name = {each["name"]: each for each in json.loads(run("list", "--json").output)["models"]}
    assert by_name["openai-compatible:mine"]["limits"]["context_window_tokens"] == 4_321
    assert by_name["meta-llama/Llama-3.1-8B"]["open_weights"]["weights_bytes"]["16 bits"] == 2 * 8_030_261_248
    assert "extractive" in by_name


@pytest.mark.parametrize("arguments", [("show", "openai:gpt-99"), ("list", "--provider", "nobody")])
def test_what_is_not_known_is_an_error_that_names_what_there_is(arguments):
    done = run(*arguments)
    assert done.exit_code == 11
    assert "openai" in done.output


def test_check_asks_only_when_it_is_told_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quiet = json.loads(run("check", "--json").output)["checks"]
    assert [each["name"] for each in quiet] == ["known", "price", "built"]
    asked = json.loads(run("check", "--ask", "--json").output)["checks"]
    assert asked[-1]["name"] == "answer"
    assert all(each["outcome"] == "ok" for each in asked)


def test_check_names_a_missing_key_and_an_unknown_price(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "llmapp.toml").write_text('model = "openai:gpt-99"\n', encoding="utf-8")
    done = run("check", "--json")
    assert done.exit_code == 1
    found = {each["name"]: each for each in json.loads(done.output)["checks"]}
    assert found["known"]["outcome"] == "warning"
    assert '[models."openai:gpt-99"]' in found["known"]["hint"]
    assert found["price"]["outcome"] == "failed"
    assert "OPENAI_API_KEY" in found["built"]["hint"]


def test_a_window_that_the_user_states_is_the_applications(tmp_path):
    from llmapp import open_app

    (tmp_path / "llmapp.toml").write_text(
        'model = "openai-compatible:mine"\nmodel_options.base_url = "http://127.0.0.1:9"\n[models.mine]\n'
        "context_window_tokens = 2000\nmax_output_tokens = 100\n",
        encoding="utf-8",
    )
    with open_app(tmp_path) as application:
        assert application.assembler.budget_tokens == 1_900
