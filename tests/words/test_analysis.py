import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.words.analysis import Words
from llmapp.words.folding import fold
from llmapp.words.stop_words import STOP_WORDS

ENGLISH = Words("en")


def test_an_identifier_is_a_term_as_it_is_written_beside_its_parts():
    assert ENGLISH.terms("INV-2031/7") == ["inv-2031/7", "inv-2031", "inv", "2031", "7"]
    assert ENGLISH.terms("v1.2.3")[0] == "v1.2.3"
    assert ENGLISH.terms("foo_bar") == ["foo_bar", "foo", "bar"]
    assert ENGLISH.terms("well-known and/or") == ["well", "known", "and", "or"]
    assert ENGLISH.terms("1,000.50 or 1,2, 3")[:2] == ["1,000.50", "1"]
    assert ENGLISH.terms("INV\u20112031/7") == ENGLISH.terms("INV-2031/7")
    assert ENGLISH.terms("write to A@b.com.") == ["write", "to", "a@b.com", "a", "b", "com"]


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("INV-2031", "see https://jira.acme.com/browse/INV-2031 about it"),
        ("INV-2031", "attached: INV-2031.pdf"),
        ("INV_2031", "//files/claims/INV_2031.docx"),
        ("jira.acme.com", "https://jira.acme.com/browse/INV-2031"),
        ("ann@acme.com", "mailto:ann@acme.com"),
        ("2031/7", "claims 2031/7,2031/8"),
        ("2031/8", "claims 2031/7,2031/8"),
        ("AT&T", "AT&T/Verizon"),
    ],
)
def test_an_identifier_is_found_as_it_is_written_whatever_it_is_glued_to(identifier, text):
    assert fold(identifier) in ENGLISH.question(identifier)
    assert fold(identifier) in ENGLISH.terms(text)


def test_two_words_that_an_ampersand_ties_are_one_name():
    assert ENGLISH.question("AT&T revenue") == ["revenu", "at&t"]
    assert ENGLISH.question("R&D") == ["r&d", "r", "d"]


def test_a_comma_between_digits_glues_unless_it_parts_thousands():
    assert ENGLISH.terms("1,234,567.50/3") == ["1,234,567.50/3", "1,234,567.50", "1", "234", "567", "50", "3"]
    assert ENGLISH.terms("2031/7,2031/8")[:3] == ["2031/7,2031/8", "2031/7", "2031/8"]


def test_a_host_name_is_no_file():
    assert ENGLISH.terms("www.acme.com") == ["www.acme.com", "www", "acm", "com"]


def test_what_stands_behind_a_word_tells_it_from_others():
    assert ENGLISH.terms("C, C++, C#.") == ["c", "c++", "c", "c#", "c"]
    assert ENGLISH.terms("a++b x+++ y##") == ["a", "b", "x", "y"]


def test_a_word_is_known_by_its_stem_and_a_word_with_a_digit_as_it_is():
    assert ENGLISH.terms("reported reporting reports") == ["report"] * 3
    assert Words("de").terms("Häuser Haus Hauses") == ["haus"] * 3
    assert Words("none").terms("reported") == ["reported"]
    assert ENGLISH.terms("x86s") == ["x86s"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CAFÉ", "cafe"),
        ("\uff21\uff11\uff12", "a12"),
        ("ﬁne", "fine"),
        ("Straße", "strasse"),
        ("Łódź Ærø", "lodz aero"),
        ("İstanbul \u0131ş\u0131k", "istanbul isik"),
        ("ΐ Άθήνα", "\u03b9 αθηνα"),
        ("ёлка", "елка"),
        ("٢٠٣١", "2031"),
        ("שָׁלוֹם", "שלום"),
        ("so\u00adft", "soft"),
        ("น\u0e49\u0e33", "น\u0e4d\u0e49า"),
        ("ນ\u0ec9\u0eb3", "ນ\u0ecd\u0ec9າ"),
    ],
)
def test_what_reads_alike_is_spelled_alike(one, other):
    assert fold(one) == fold(other)


def test_letters_that_an_accent_makes_others_stay_apart():
    assert fold("йод") != fold("иод")
    assert fold("が") != fold("か")
    assert fold(unicodedata.normalize("NFD", "йが")) == fold("йが")


def test_scripts_without_spaces_are_pairs_of_letters():
    assert ENGLISH.question("水害の報告") == ["水害", "害の", "の報", "報告"]
    assert set(ENGLISH.question("ประกัน")) <= set(ENGLISH.terms("ค่าประกันภัย"))
    assert ENGLISH.question("보험") == ["보험"]
    assert ENGLISH.terms("iPhone手機") == ["iphon", "手", "機", "手機"]


def test_one_letter_of_such_a_script_is_found_in_a_longer_run():
    assert ENGLISH.question("水") == ["水"]
    assert "水" in ENGLISH.terms("大水害")


def test_a_word_of_an_indian_script_is_one_word_with_its_vowels():
    assert len(ENGLISH.terms("हिन्दी भाषा में")) == 3
    assert len(ENGLISH.terms("தமிழ் மொழி")) == 2


def test_stop_words_are_left_out_of_a_question_that_has_others_and_never_of_a_text():
    assert ENGLISH.question("what is the deductible") == ["deduct"]
    assert ENGLISH.question("who is it") == ["who", "is", "it"]
    assert ENGLISH.terms("the who") == ["the", "who"]
    assert Words("none").question("what is the deductible") == ["deductible", "what", "the", "is"]


def test_each_of_the_main_languages_has_folded_stop_words():
    assert {"en", "de", "fr", "es", "it", "pt", "nl"} <= STOP_WORDS.keys()
    assert all(word == fold(word) and word.isascii() for words in STOP_WORDS.values() for word in words)


@pytest.mark.parametrize("text", ["", "  \n", "?!", '"', "'", "\0", "\ud800", "_", "🙂", "-", "\u0300" * 50])
def test_a_text_without_words_has_no_terms(text):
    assert ENGLISH.terms(text) == ENGLISH.question(text) == []


@given(text=st.text(max_size=200), language=st.sampled_from(["en", "de", "fr", "tr", "none"]))
def test_every_term_of_a_question_is_one_of_the_same_text(text, language):
    words = Words(language)
    terms = set(words.terms(text))
    assert set(words.question(text)) <= terms
    assert bool(words.question(text)) == bool(terms)
    assert all(0 < len(term) <= 64 for term in terms)


@given(text=st.text(max_size=100))
def test_how_accents_are_encoded_does_not_matter(text):
    assert ENGLISH.terms(unicodedata.normalize("NFC", text)) == ENGLISH.terms(unicodedata.normalize("NFD", text))


def test_of_a_long_question_the_longest_words_count():
    question = ENGLISH.question(" ".join(f"word{number}" for number in range(12_000)))
    assert len(question) == 64
    assert {len(term) for term in question} == {len("word10000")}


@pytest.mark.parametrize("letters", ["กขคงจฉชซฌญฎฏฐฑฒณดตถท", "水火木金土日月山川田人口手足目耳"])
def test_a_long_question_without_spaces_is_looked_for_to_its_end(letters):
    question = "".join(letters[number % len(letters)] + letters[number // len(letters)] for number in range(100))
    assert {first + second for first, second in pairwise(question)} <= set(ENGLISH.question(question))


def test_letters_without_end_are_no_question_without_end():
    assert len(ENGLISH.question("".join(chr(0x4E00 + number) for number in range(5_000)))) == 256


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "x-",
        "x.",
        "x/",
        "1:",
        "1.a/",
        "\u0e4d\u0e49",
        "+",
        "#",
        "1,",
        "\u0323\u0300",
        "水",
        "ก",
        "é",
        "क्",
        "\uff21",
        "ø",
        "\u200d",
        "x\u0300",
    ],
)
def test_time_is_linear_in_the_length_of_hostile_texts(piece):
    start = time.process_time()
    ENGLISH.terms("a" + piece * (200_000 // len(piece)))
    assert time.process_time() - start < 5


def test_an_analysis_is_found_again_by_its_name():
    assert Words.named(Words("de").identity) == Words("de")
    assert Words.named("words-0-de") is None
