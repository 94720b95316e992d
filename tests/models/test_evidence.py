import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.models.evidence import SIGNALS, rank, signals
from llmapp.models.passages import Passage
from llmapp.models.questions import Question
from llmapp.testing.fakes import HashEmbedder


def passages(*texts, context=""):
    return [Passage(position, position + 1, text, context) for position, text in enumerate(texts)]


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
    table = signals(Question(question), passages(with_kind, without), embedder=None)
    assert (table[0, kind], table[1, kind]) == (1, 0)


def test_a_name_in_the_question_is_not_its_own_answer():
    asked = Question("Who founded the Lovelace firm?")
    table = signals(asked, passages("It was founded by people of the Lovelace firm."), embedder=None)
    assert table[0, SIGNALS.index("kind")] == 0


def test_a_passage_longer_than_the_embedder_takes_is_cut_for_it():
    long = "water " * 500
    assert len(rank("water?", passages(long, "dry"), embedder=HashEmbedder(max_tokens=32))) == 2


@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=80), max_size=5))
def test_every_signal_is_between_0_and_1_whatever_is_asked(question, texts):
    table = signals(Question(question), passages(*texts), embedder=None) if texts else None
    if table is not None:
        assert table.shape == (len(texts), len(SIGNALS))
        assert ((table >= 0) & (table <= 1 + 1e-6)).all()
    assert len(rank(question, passages(*texts), embedder=None)) == len(texts)


def test_with_one_passage_every_word_of_the_question_counts_alike():
    (one,) = signals(Question("What colour is the sky?"), passages("The sky is blue."), embedder=None)
    assert one[SIGNALS.index("words")] == pytest.approx(0.5)


def test_a_word_that_stands_in_all_of_a_few_passages_still_counts():
    table = signals(Question("hail damage"), passages("Hail and damage.", "Hail."), embedder=None)
    assert table[1, SIGNALS.index("words")] > 0


@pytest.mark.parametrize(
    ("question", "first"), [("Which number takes claims?", 2), ("Which number took claims, the old one?", 1)]
)
def test_an_archived_document_counts_less_unless_the_past_is_asked_for(question, first):
    versions = [
        Passage(0, 1, "The old number for claims is 555-0100.", "", is_past=True),
        Passage(1, 2, "The number for claims is 555-0200.", ""),
    ]
    assert rank(question, versions, embedder=None)[0].passage.number == first


def test_a_telephone_number_is_better_support_than_talk_about_telephones():
    ranked = rank(
        "What is the phone number of the claims desk?",
        passages("The phone number of the claims desk is in the directory.", "Claims desk: +49 69 555 0100"),
        embedder=None,
    )
    assert ranked[0].passage.number == 2


def test_a_name_that_no_source_has_makes_every_passage_less_likely():
    texts = passages("The deductible for hail in Styria is $800.", "Tyrol has none.")
    known, unknown = (
        rank(f"What is the deductible for hail in {name}?", texts, embedder=None)[0] for name in ("Tyrol", "Salzburg")
    )
    assert unknown.probability < known.probability
