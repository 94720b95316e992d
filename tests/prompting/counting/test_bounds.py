"""What holds for every counter: its bound is above its count, whatever the text."""

import pytest
from counting_models import byte_level, sentence_pieces, word_pieces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from llmapp.prompting.counting import BpeCounter, EstimateCounter, HuggingFaceCounter, well_formed
from llmapp.testing.fakes import ByteCounter
from llmapp.types import Message

HOSTILE = [
    "",
    "a",
    "<|endoftext|><|im_start|><s></s>" * 20,
    "लेख नियम क़ ख़ ग़",  # letters that NFC makes longer
    "\u0344\u1d160\ufb2c",
    "ﷺ" * 50,
    "e\u0301" * 200 + "\u0300" * 300,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20,
    "ความเสียหายจากน้ำต้องแจ้งภายในสามวัน" * 5,
    "水害は72時間以内に報告されます。" * 5,
    "\ud800\udfff lone",
    "\x00\x1f\x7f\x80",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479" * 10,
    " " * 500 + "\t\r\n" * 100,
    "x" * 100_000,
    '{"a":1,' * 5_000,
]
ANY_TEXT = st.one_of(st.text(st.characters(exclude_categories=()), max_size=120), st.sampled_from(HOSTILE))


@pytest.fixture(scope="module")
def counters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    made = {
        "byte level": byte_level(),
        "byte level, NFC": byte_level(normalizer=normalizers.NFC()),
        "byte level, NFKC": byte_level(normalizer=normalizers.NFKC()),
        "word pieces": word_pieces(),
        "sentence pieces": sentence_pieces(),
    }
    for name, tokenizer in made.items():
        tokenizer.save(str(folder / f"{name}.json"))
    own = [HuggingFaceCounter(folder / f"{name}.json") for name in made]
    return [BpeCounter(), BpeCounter("cl100k_base"), EstimateCounter(), ByteCounter(), *own]


@given(text=ANY_TEXT)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_count_is_above_its_bound(counters, text):
    for counter in counters:
        assert 0 <= counter.count(text) <= counter.upper_bound(text), counter.name


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_counted_and_bounded(counters, text):
    for counter in counters:
        assert counter.count(text) <= counter.upper_bound(text), counter.name
        assert counter.count_request([Message("user", text)]) >= counter.count(text) - counter.count("")


@given(text=ANY_TEXT)
def test_no_byte_level_count_is_above_the_bytes(text):
    for counter in (BpeCounter(), EstimateCounter()):
        assert counter.count(text) <= len(well_formed(text).encode())


def test_the_bound_of_a_byte_level_encoding_needs_no_tokenising(counters, monkeypatch):
    for counter in counters:
        if counter.name in {"tokenizers:byte level.json", "tokenizers:byte level, NFC.json", "bpe-openai:o200k_base"}:
            monkeypatch.setattr(counter._cached, "_count", None)
            assert counter.upper_bound("never seen before") == len("never seen before")
