import re

import pytest

from llmapp.prompting.counting import BpeCounter, EstimateCounter
from llmapp.prompting.counting.estimate import CLAUDE_FACTOR, SCRIPT_TOKENS
from llmapp.prompting.counting.scripts import characters


@pytest.fixture(scope="module")
def o200k():
    return BpeCounter()


# Tokens of the older Claude models for one of o200k_base, as measured for the notes of 2026-11; the newer take 1.3 times more.
@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("Water damage is reported within 72 hours. " * 20, 1.30 / 1.30),
        ("def report(claim):\n    return claim.filed_at - claim.seen_at\n" * 20, 0.96 / 0.95),
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479\n" * 20, 0.39 / 0.36),
        ("Водяной ущерб сообщается в течение трёх дней. " * 20, 0.98 / 0.45),
        ("水害は72時間以内に報告されます。" * 20, 0.31 / 0.25),
        ("पानी से हुए नुकसान की सूचना दी जाती है। " * 20, 0.87 / 0.24),
        ("ความเสียหายจากน้ำต้องแจ้งภายในสามวัน " * 20, 0.52 / 0.14),
    ],
)
def test_the_estimate_is_above_the_measured_ratio_of_other_tokenizers(o200k, text, ratio):
    assert EstimateCounter(CLAUDE_FACTOR).count(text) >= min(o200k.count(text) * ratio * 1.3, len(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "31415926535897932384626433832795",
        "\n".join(f"{n * 7919 % 1_000_003},{n * 104_729 % 999_983},{n * 31_337 % 99_991}" for n in range(300)),
        "Invoice 20231104 of 4711.50 euros, customer 8812 0093 1177. " * 20,
    ],
)
def test_the_estimate_is_above_tokenizers_that_give_each_digit_a_token(o200k, text):
    # Qwen, Gemma and Llama 2 do so; between the digits they know words as o200k_base does.
    least = sum(character.isdigit() for character in text) + sum(o200k.count(part) for part in re.split("[0-9]+", text))
    assert EstimateCounter().count(text) >= least


def test_english_is_estimated_little_too_high(o200k):
    text = "Water damage is reported in time, says the handbook of the insurer. " * 5
    assert o200k.count(text) <= EstimateCounter().count(text) <= 1.25 * o200k.count(text)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("naïve", "Latin"), ("вода", "Cyrillic"), ("水害", "Han"), ("ひらガナ", "kana"), ("보고", "Hangul"), ("น้ำ", "Thai"),
        ("पानी", "Devanagari"), ("ماء", "Arabic"), ("\U0001f600", "emoji"), ("→√", "signs"), ("\u0301\ud800ᚠ𓀀", "other"),
    ],
)  # fmt: skip
def test_characters_are_told_apart_by_script(text, script):
    found = characters(text)
    assert sum(found.values()) == len(text)
    assert set(found) - {"ASCII"} == {script}
    assert script in SCRIPT_TOKENS


def test_a_text_of_an_unknown_script_counts_its_bytes():
    assert EstimateCounter().count("ᚠᚢᚦ") == 9


def test_a_long_run_of_one_character_is_counted_for_vocabularies_that_know_no_long_runs(o200k):
    # SmolLM2's takes a token for four.
    assert EstimateCounter().count("x" * 20_000) >= 5_000
    assert EstimateCounter().count(" " * 16_000) >= 1_000
