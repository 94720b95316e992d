"""API against in-house: published figures, and the staircase against a search."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmapp.costs.in_house import Comparison, InHouse, compare
from llmapp.costs.price_book import PriceBook
from llmapp.errors import InvalidRequestError

MILLION = 10**6


def per_million(gpu_usd_per_hour, tokens_per_s, utilisation="1"):
    own = InHouse(Fraction(gpu_usd_per_hour), Fraction(tokens_per_s), Fraction(tokens_per_s), Fraction(utilisation))
    return float(compare(Fraction(1), own, input_tokens=0, output_tokens=1).full_load_usd * MILLION)


def test_a_gpu_at_2_50_an_hour_with_700_tokens_a_second_costs_99_cents_a_million():
    assert per_million("2.50", 700) == pytest.approx(0.992, abs=5e-4)
    assert per_million("2.50", 700, "0.1") == pytest.approx(9.92, abs=5e-3)


def test_embeddings_of_llm_numbers_cost_a_tenth_of_the_api_in_2023_and_not_today():
    own = per_million("1.20", 9_000)
    assert own == pytest.approx(0.0370, abs=5e-5)
    from datetime import date

    then = PriceBook().price("openai:text-embedding-ada-002", as_of=date(2023, 5, 17)).rates.input / MILLION
    now = PriceBook().price("openai:text-embedding-ada-002").rates.input / MILLION
    assert then / own == pytest.approx(10.8, abs=0.05)
    assert now / own == pytest.approx(2.7, abs=0.05)


def test_the_break_even_of_induwara_is_1_452_billion_tokens_a_month():
    # $1.19 an hour x 729.6 h x 1.15 = $998.46; the API takes $110 for 160 M tokens.
    gpu = Fraction("1.19") * Fraction("729.6")
    own = InHouse(
        Fraction("1.19"), Fraction(2_000), Fraction(2_000), Fraction(1), operations_usd_per_month=gpu * Fraction("0.15")
    )
    found = compare(Fraction(110, 160 * MILLION), own, input_tokens=1, output_tokens=0)
    assert float(found.own_usd(1)) == pytest.approx(998.46, abs=0.005)
    assert found.break_even() / 10**9 == pytest.approx(1.452, abs=5e-4)


def test_a_gpu_that_is_dearer_at_full_load_is_never_cheaper():
    found = Comparison(api_usd=Fraction(1, 1000), gpu_usd=Fraction(1000), operations_usd=Fraction(0), capacity=999_999)
    assert found.break_even() is None
    assert found.always_from() is None


def test_right_after_a_step_the_api_may_be_cheaper_again():
    found = Comparison(api_usd=Fraction(1), gpu_usd=Fraction(90), operations_usd=Fraction(0), capacity=100)
    assert found.break_even() == 90
    assert found.own_usd(101) > 101 * found.api_usd
    assert found.always_from() == 810


def test_input_and_output_take_their_own_time():
    own = InHouse(
        Fraction(1), input_tokens_per_s=Fraction(1_000), output_tokens_per_s=Fraction(10), utilisation=Fraction(1, 2)
    )
    assert own.capacity(1_000, 10) == Fraction("729.6") * 3600 / 2 / 2


@pytest.mark.parametrize("wrong", [("0", 1, 1, "1"), ("1", 0, 1, "1"), ("1", 1, 1, "0"), ("1", 1, 1, "1.1")])
def test_a_machine_that_cannot_work_is_refused(wrong):
    with pytest.raises(InvalidRequestError):
        InHouse(Fraction(wrong[0]), Fraction(wrong[1]), Fraction(wrong[2]), Fraction(wrong[3]))


_money = st.fractions(Fraction(1, 10), 200, max_denominator=20)
_comparisons = st.builds(
    Comparison,
    st.fractions(Fraction(1, 10), 5, max_denominator=20),
    _money,
    _money | st.just(Fraction(0)),
    st.integers(1, 300),
)


@given(_comparisons)
def test_the_break_even_is_what_a_search_over_every_volume_finds(found):
    first = found.break_even()
    assume(first is None or first < 3_000)
    is_cheaper = [found.own_usd(volume) <= volume * found.api_usd for volume in range(1, 4_000)]
    assert (is_cheaper.index(True) + 1 if True in is_cheaper else None) == first
    always = found.always_from()
    assume(always is None or always < 3_000)
    if always is not None:
        assert all(is_cheaper[always - 1 :])
        assert always == 1 or not all(is_cheaper[always - 2 :])


@given(_comparisons, st.integers(0, 10**12), st.integers(0, 10**12))
def test_more_requests_never_cost_less(found, volume, more):
    assert found.own_usd(volume + more) >= found.own_usd(volume)
    assert found.gpus(volume) * found.capacity >= volume
