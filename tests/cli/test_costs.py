"""Verbs on money, as a user meets them."""

import csv
import io
import json
from contextlib import closing

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app
from llmapp.costs.ledger import Ledger
from llmapp.costs.paying import Payer, paid_by
from llmapp.types import Usage


@pytest.fixture
def project(tmp_path):
    (tmp_path / "llmapp.toml").write_text(
        '[budgets]\nday_usd = 1\n[[budgets.limits]]\nscope = "user"\nper = "month"\nusd = 2\n'
    )
    with closing(Ledger(tmp_path / ".llmapp/ledger.db")) as ledger:
        for user, model, nano in (("anna", "openai:gpt-4o", 250_000_000), ("=bert", "anthropic:claude", 125_000_000)):
            with paid_by(Payer(user=user, groups=("hr", "staff"), tenant="acme")):
                hold = ledger.reserve(model, kind="chat", amount_nano_usd=nano, price={"input": 1})
            ledger.mark_sent(hold)
            ledger.settle(hold, cost_nano_usd=nano, usage=Usage(1000, 200))
        ledger.record_free("minilm", kind="embed", usage=None, price={})
        ledger.mark_sent(ledger.reserve("openai:gpt-4o", kind="chat", amount_nano_usd=1, price={}))
    return tmp_path


def invoke(project, *arguments):
    return CliRunner().invoke(app, ["costs", *arguments, "-c", str(project)])


def read(project, *arguments):
    done = invoke(project, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_was_spent_today_is_shown_with_how_the_limits_stand(project):
    output = invoke(project).output
    assert "openai:gpt-4o" in output
    assert "$0.375000" in output
    assert "user:anna:" in output
    assert "12%" in output


@pytest.mark.parametrize(
    ("by", "names"), [("user", ["anna", "=bert", "-"]), ("group", ["hr", "staff", "-"]), ("tenant", ["acme", "-"])]
)
def test_spending_is_told_by_any_view(project, by, names):
    assert [row["name"] for row in read(project, "--by", by)["spent"]] == names
    assert invoke(project, "--by", by).exit_code == 0


def test_spending_of_other_days_is_asked_for(project):
    assert read(project, "--since", "2020-01-01", "--until", "2020-12-31")["spent"] == []
    assert "nothing was called" in invoke(project, "--since", "2099-01-01").output
    assert invoke(project, "--since", "yesterday").exit_code == 14
    assert "there are model, user" in invoke(project, "--by", "colour").stderr


def test_a_limit_is_set_shown_and_taken_away(project):
    assert invoke(project, "budgets", "set", "user:anna", "--usd", "0.3", "--per", "30 days").exit_code == 0
    limits = read(project, "budgets", "list")["limits"]
    assert [(one["scope"], one["name"], one["per"], one["usd"], one["from"]) for one in limits] == [
        ("application", "*", "day", 1.0, "llmapp.toml"),
        ("user", "*", "month", 2.0, "llmapp.toml"),
        ("user", "anna", "30 days", 0.3, "set"),
    ]
    shown = invoke(project, "budgets", "list").output
    assert "user:anna:30 days" in shown
    assert "83%" in shown
    assert invoke(project, "budgets", "set", "user:anna", "--per", "30 days", "--remove").output == "taken away\n"
    assert invoke(project, "budgets", "set", "user:anna", "--per", "30 days", "--remove").output == "there was none\n"


@pytest.mark.parametrize(
    "arguments",
    [("nobody", "--usd", "1"), ("user", "--usd", "much"), ("user", "--usd", "-1"), ("user", "--usd", "1", "--per", "week")],
)
def test_what_is_no_limit_is_refused_with_an_example(project, arguments):
    done = invoke(project, "budgets", "set", *arguments)
    assert done.exit_code == 14
    assert "llmapp costs budgets set user:anna" in done.stderr


def test_either_an_amount_or_its_removal_is_asked_for(project):
    assert invoke(project, "budgets", "set", "user").exit_code == 2
    assert invoke(project, "budgets", "set", "user", "--usd", "1", "--remove").exit_code == 2


def test_the_books_are_checked(project):
    assert invoke(project, "ledger").output.startswith("4 holds, ")
    assert read(project, "ledger")["wrong"] == []


def test_every_call_is_written_as_a_table_that_no_spreadsheet_runs(project):
    rows = list(csv.DictReader(io.StringIO(invoke(project, "ledger", "--csv", "-").stdout)))
    assert [(row["model"], row["state"], row["posted_usd"]) for row in rows] == [
        ("openai:gpt-4o", "posted", "0.250000000"),
        ("anthropic:claude", "posted", "0.125000000"),
        ("minilm", "posted", "0.000000000"),
        ("openai:gpt-4o", "sent", ""),
    ]
    assert rows[0]["accounts"] == "application group:hr group:staff tenant:acme user:anna"


def test_charges_are_written_with_the_columns_of_focus(project):
    file = project / "focus.csv"
    assert invoke(project, "ledger", "--focus", str(file)).output == f"2 rows written to {file}\n"
    first, second = csv.DictReader(file.read_text().splitlines())
    assert (first["BilledCost"], first["ProviderName"], first["ConsumedQuantity"]) == ("0.250000000", "openai", "1200")
    assert (first["ChargeCategory"], first["ServiceCategory"]) == ("Usage", "AI and Machine Learning")
    assert first["BillingPeriodStart"] < first["ChargePeriodStart"] <= first["ChargePeriodEnd"] < first["BillingPeriodEnd"]
    assert json.loads(second["Tags"]) == {"llmapp/group": "hr,staff", "llmapp/tenant": "acme", "llmapp/user": "=bert"}
    assert invoke(project, "ledger", "--csv", str(project / "none/costs.csv")).exit_code == 12


def test_what_a_provider_has_billed_is_compared_with_what_was_posted(project):
    (day,) = read(project, "--by", "day")["spent"]
    invoice = project / "costs.csv"
    invoice.write_text(f"date,cost\n{day['name']},0.25\n")
    (agreed,) = read(project, "reconcile", str(invoice), "--provider", "openai")["days"]
    assert (agreed["verdict"], agreed["billed_usd"], agreed["posted_usd"]) == ("agrees", 0.25, 0.25)
    invoice.write_text(f"date,cost\n{day['name']},9.25\n")
    done = invoke(project, "reconcile", str(invoice))
    assert done.exit_code == 1
    assert "billed more" in done.output
