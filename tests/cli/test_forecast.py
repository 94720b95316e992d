"""The verbs on what models will cost."""

import json
import re
from fractions import Fraction
from xml.etree.ElementTree import fromstring

import pytest
from typer.testing import CliRunner

from llmapp.cli.cost_tables import money
from llmapp.cli.main import app

REQUEST = ("--model", "openai:gpt-4o", "--input-tokens", "3000", "--output-tokens", "400")
GPU = ("--gpu-usd-per-hour", "2.50", "--input-tokens-per-second", "8000", "--output-tokens-per-second", "700")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["costs", *arguments], env={"COLUMNS": "100"})


def of_2023(model, input_tokens, output_tokens, *more):
    tokens = ("--input-tokens", str(input_tokens), "--output-tokens", str(output_tokens))
    return ("forecast", "--model", f"openai:{model}", *tokens, "--as-of", "2023-05-17", *more)


def test_a_prediction_of_gpt_4_32k_costs_62_4_cents_and_an_evaluation_312_dollars(run):
    done = run(*of_2023("gpt-4-32k", 10_000, 200, "--requests-per-day", "1", "--times", "20x25"))
    assert done.exit_code == 0, done.output
    assert re.search(r"a prediction +\$0\.624\b", done.output)
    assert re.search(r"500 predictions, once +\$312\.00", done.output)
    assert "prices as of 2023-05-17: https://github.com/ray-project/llm-numbers" in done.output


def test_ten_billion_a_day_are_forty_million_dollars_and_the_published_figure_is_put_right(run):
    done = run(*of_2023("gpt-3.5-turbo", 2_000, 0, "--requests-per-day", "10000000000"))
    assert re.search(r"a prediction +\$0\.004\b", done.output)
    assert re.search(r"a day at 10,000,000,000 +\$40,000,000\.00", done.output)
    assert "they cost $0.008, and $0.004 is 2k tokens" in " ".join(done.output.split())


def test_json_has_exact_decimals(run):
    shape = json.loads(
        run("forecast", *REQUEST, "--requests-per-day", "10000000000", "--cached-share", "30%", "--json").output
    )
    (column,) = shape["columns"]
    assert shape["cached_share"] == 0.3
    assert shape["price_sources"][0].startswith("genai-prices ")
    prediction = Fraction(column["usd"]["prediction"])
    assert Fraction(column["usd"]["day"]) == prediction * 10**10
    assert sum(map(Fraction, column["parts_usd"].values())) == prediction


def test_negotiated_rates_of_the_settings_win(run, tmp_path):
    (tmp_path / "llmapp.toml").write_text(
        'model = "openai:gpt-4o"\n[prices."openai:gpt-4o"]\ninput_usd_per_million = 1\noutput_usd_per_million = 0\n',
        encoding="utf-8",
    )
    done = run("forecast", "--input-tokens", "1000000", "--requests-per-day", "1", "--as-of", "2023-05-17")
    assert re.search(r"a prediction +\$1\.00\b", done.output)
    assert "llmapp.toml" in done.output


def test_without_tokens_it_goes_by_what_was_recorded(run):
    from llmapp import open_app
    from llmapp.types import Usage

    with open_app() as application:
        for tokens in range(1, 101):
            hold = application.ledger.reserve("openai:gpt-4o", kind="chat", amount_nano_usd=10**9, price={})
            application.ledger.mark_sent(hold)
            application.ledger.settle(hold, cost_nano_usd=1, usage=Usage(tokens * 1_000, 10, cache_read_tokens=500))
        silent = application.ledger.reserve("openai:gpt-4o", kind="chat", amount_nano_usd=10**9, price={})
        application.ledger.mark_sent(silent)
        application.ledger.presume(silent)
        application.ledger.record_free("openai:other", kind="chat", usage=Usage(10**9, 0), price={})
    columns = json.loads(run("forecast", "--model", "openai:gpt-4o", "--requests-per-day", "10", "--json").output)["columns"]
    tokens = {column["name"]: column["tokens"]["input_tokens"] for column in columns}
    assert tokens == {"mean": 50_500, "p50": 50_000, "p95": 95_000}
    # 2.50 a million in, 1.25 cached, 10 out
    assert Fraction(columns[0]["usd"]["prediction"]) == (50_000 * Fraction("2.5") + 500 * Fraction("1.25") + 100) / 10**6
    table = run("forecast", "--model", "openai:gpt-4o", "--requests-per-day", "10").output
    assert re.search(r"mean +p50 +p95", table)
    assert run("compare", "--model", "openai:gpt-4o", *GPU).exit_code == 0


def test_a_comparison_names_the_break_even_or_says_never(run):
    own = run("compare", *REQUEST, *GPU, "--operations-usd-per-month", "2000")
    assert "in-house from 332,522 requests a month on" in own.output
    mini = ("--model", "openai:gpt-4o-mini", *REQUEST[2:])
    never = run("compare", *mini, *GPU)
    assert "never: a GPU at full load costs" in never.output
    assert json.loads(run("compare", *mini, *GPU, "--json").output)["break_even_requests_per_month"] is None


def test_a_comparison_at_a_volume_counts_whole_gpus(run):
    shape = json.loads(run("compare", *REQUEST, *GPU, "--requests-per-day", "100000", "--json").output)
    at = shape["at_volume"]
    assert at["requests_per_month"] == 3_040_000
    assert at["gpus"] == 3
    assert Fraction(at["own_usd"]) == 3 * Fraction(shape["gpu_usd_per_month"])


@pytest.mark.parametrize("verb", [("forecast", *REQUEST, "--requests-per-day", "9"), ("compare", *REQUEST, *GPU)])
def test_a_plot_is_a_page_without_scripts_whose_marks_lie_within_it(run, tmp_path, verb):
    done = run(*verb, "--plot", "plot.html")
    assert "written to plot.html" in done.output
    page = (tmp_path / "plot.html").read_text(encoding="utf-8")
    assert "<script" not in page
    svg = fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    _, _, width, height = map(float, svg.get("viewBox").split())
    marks = [float(mark.get(name)) for mark in svg for name in ("x", "x1", "x2", "cx") if mark.get(name)]
    points = [pair.split(",") for mark in svg if mark.get("points") for pair in mark.get("points").split()]
    assert marks
    assert all(0 <= x <= width for x in [*marks, *(float(x) for x, _ in points)])
    assert all(0 <= float(y) <= height for _, y in points)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("forecast", "--requests-per-day", "1", "--model", "openai:gpt-4o"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--as-of", "yesterday"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--as-of", "2023-04-01"), 12),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--cached-share", "most"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--batch-share", "2"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "-1"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--times", "few"), 14),
        (("forecast", *REQUEST, "--requests-per-day", "1", "--plot", "no/such/folder.html"), 3),
        (("forecast", "--model", "nobody:x", *REQUEST[2:], "--requests-per-day", "1"), 12),
        (("compare", *REQUEST, *GPU, "--utilisation", "0"), 14),
        (("compare", *REQUEST, *GPU, "--utilisation", "1/0"), 14),
    ],
)
def test_what_cannot_be_forecast_is_one_line_with_a_hint(run, arguments, code):
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert len(done.output.splitlines()) == 2


def test_money_is_written_with_the_digits_that_it_has():
    assert money(Fraction("0.624")) == "$0.624"
    assert money(Fraction(5)) == "$5.00"
    assert money(Fraction("99.5")) == "$99.50"
    assert money(Fraction(40_000_000)) == "$40,000,000.00"
    assert money(Fraction(1, 3)) == "$0.3334"
    assert money(Fraction(1, 3000)) == "$0.0003334"
    assert money(Fraction(0)) == "$0.00"
