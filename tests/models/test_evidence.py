import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.models.evidence import SIGNALS, Question, rank, signals, terms
from llmapp.models.passages import Passage
from llmapp.testing.fakes import HashEmbedder


def passages(*texts, context=""):
    return [Passage(position, position + 1, text, context) for position, text in enumerate(texts)]


def test_words_lose_their_endings_accents_and_case():
    assert terms("Claims, claimed, CLAIMING") == terms("claim")
    assert terms("Café") == terms("cafe")
    assert terms("10,000 and 3.5") == {"10000", "3.5"}


def test_the_passage_that_shares_the_rare_words_is_first():
    found = rank(
        "Is hail covered by the policy?",
        passages("Fire is covered.", "Hail is covered.", "The policy is long."),
        embedder=None,
    )
    assert found[0].passage.text == "Hail is covered."


@pytest.mark.parametrize(("year", "expected"), [("2024", 1), ("2025", 2)])
def test_the_year_in_the_title_tells_versions_apart(year, expected):
    versions = [
        Passage(0, 1, "The deductible for water damage is $500.", "Home policy 2024"),
        Passage(1, 2, "The deductible for water damage is $750.", "Home policy 2025"),
    ]
    found = rank(f"What is the deductible for water damage in the {year} home policy?", versions, embedder=HashEmbedder())
    assert found[0].passage.number == expected


@pytest.mark.parametrize(
    ("question", "with_kind", "without"),
    [
        ("When was it founded?", "It was founded in 1969.", "It was founded by two people."),
        ("How much is it?", "It is $20.", "It is dear."),
        ("Who founded the firm?", "The firm was founded by Ada Lovelace.", "The firm was founded by two people."),
    ],
)
def test_an_answer_holds_the_kind_of_thing_that_was_asked_for(question, with_kind, without):
    kind = SIGNALS.index("kind")
    table = signals(question, passages(with_kind, without), embedder=None)
    assert (table[0, kind], table[1, kind]) == (1, 0)


def test_a_name_in_the_question_is_not_its_own_answer():
    asked = Question("Who founded the Lovelace firm?")
    assert asked.kind is not None
    table = signals(asked.text, passages("It was founded by people of the Lovelace firm."), embedder=None)
    assert table[0, SIGNALS.index("kind")] == 0


def test_a_passage_longer_than_the_embedder_takes_is_cut_for_it():
    long = "water " * 500
    assert len(rank("water?", passages(long, "dry"), embedder=HashEmbedder(max_tokens=32))) == 2


@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=80), max_size=5))
def test_every_signal_is_between_0_and_1_whatever_is_asked(question, texts):
    table = signals(question, passages(*texts), embedder=None) if texts else None
    if table is not None:
        assert table.shape == (len(texts), len(SIGNALS))
        assert ((table >= 0) & (table <= 1 + 1e-6)).all()
    assert len(rank(question, passages(*texts), embedder=None)) == len(texts)
