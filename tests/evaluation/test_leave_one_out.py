"""What examples gain, asked on the whole path."""

import json
import threading

import pytest

from llmapp.application import App
from llmapp.config import BudgetSettings, PriceSettings
from llmapp.errors import BudgetExceededError, ExampleError
from llmapp.evaluation.leave_one_out import gain_of_examples, worst_test_usd
from llmapp.prompting.examples import Example, add_examples
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel

EXAMPLES = [
    Example("When is water damage reported?", "Within seven days [1].", ("water",)),
    Example("When is a burglary reported?", "Within forty hours [1]."),
    Example("When is glass replaced?", "At once [1]."),
]

ONE_BY_ONE = threading.Lock()


class Imitating(ScriptedChatModel):
    """Answers briefly where it has seen an example, else at length; from the very request that it gets."""

    def _next(self, messages, options):
        with ONE_BY_ONE:
            return self._imitated(messages, options)

    def _imitated(self, messages, options):
        told = next((each.answer for each in EXAMPLES if each.question in messages[-1].content), "No.")
        has_seen = any("<example-" in str(message.content) for message in messages[:-1])
        self.answers = [told if has_seen else f"It may be of interest to you that it is as follows: {told}"]
        return super()._next(messages, options)


@pytest.fixture
def imitating(app):
    add_examples(app.settings.examples, EXAMPLES)
    model = Imitating()
    name = App(app.settings, model=model).model_name
    prices = {**app.settings.prices, name: PriceSettings(input_usd_per_million=1, output_usd_per_million=10)}
    opened = []

    def with_settings(**changes):
        settings = app.settings.model_copy(update={"prices": prices, **changes})
        opened.append(App(settings, model=model, embedder=HashEmbedder(dim=256)))
        return opened[-1]

    yield with_settings
    for each in opened:
        each.close()


def test_what_a_model_learns_from_the_others_is_a_gain_with_its_cost(imitating):
    app = imitating()
    gain = gain_of_examples(app)
    assert gain.measures["F1"].after == pytest.approx(1.0)
    assert gain.measures["F1"].before < 0.6
    assert (gain.measures["F1"].better, gain.measures["F1"].worse) == (3, 0)
    assert gain.measures["contains"].difference == 0
    assert all(pair.shown for pair in gain.pairs)
    assert gain.cost_usd == pytest.approx(6 * (100 * 1 + 20 * 10) / 1e6)
    assert gain.cost_usd <= worst_test_usd(app)
    assert gain.warnings == ()
    shape = json.loads(json.dumps(gain.shape()))
    assert shape["measures"]["F1"]["difference"] == pytest.approx(gain.measures["F1"].difference)
    assert shape["by_example"][0]["with_others"] == {
        "answer": "Within seven days [1].",
        "measures": {"contains": 1.0, "F1": 1.0},
    }


def test_tested_at_the_same_time_examples_gain_the_same_in_the_same_order(imitating):
    one, several = gain_of_examples(imitating()), gain_of_examples(imitating(), at_once=3)
    assert several.measures == one.measures
    assert [pair.example for pair in several.pairs] == EXAMPLES
    assert [pair.others.text for pair in several.pairs] == [pair.others.text for pair in one.pairs]


def test_no_example_stands_in_the_prompt_of_its_own_question(imitating):
    app = imitating()
    gain_of_examples(app)
    for request in app.model.inner.requests:
        asked = next(each for each in EXAMPLES if each.question in request[-1].content)
        assert not any(asked.question in str(message.content) for message in request[:-1])


def test_the_extractive_model_is_told_to_read_no_examples(app):
    add_examples(app.settings.examples, EXAMPLES)
    gain = gain_of_examples(app)
    assert gain.measures["F1"].difference == 0
    assert gain.cost_usd == 0
    assert "extractive quotes sources and reads no examples" in gain.warnings[0]


def test_with_one_example_there_is_nothing_to_measure(app):
    for count in (0, 1):
        add_examples(app.settings.examples, EXAMPLES[:count])
        with App(app.settings, embedder=HashEmbedder(dim=256), ledger=app.ledger) as again, pytest.raises(ExampleError):
            gain_of_examples(again)


def test_where_no_money_is_left_the_error_is_told(imitating):
    with pytest.raises(BudgetExceededError):
        gain_of_examples(imitating(budgets=BudgetSettings(day_usd="0.000001")))
