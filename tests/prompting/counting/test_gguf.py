import itertools
import struct

import pytest
from counting_models import CHATML, CORPUS, LLAMA3, byte_level, gguf_of, sentence_pieces, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from llmapp.errors import PromptError
from llmapp.prompting.counting import GgufCounter, HuggingFaceCounter, counter_of, well_formed
from llmapp.types import Message, Tool

CHAT = [Message("system", "Be brief."), Message("user", "What is <reported> within 72 hours? 水害")]
TEXTS = [
    "",
    "It's 12345 o'clock, IT'LL be 3.14159 at the XMLHttpRequest's end.",
    "    indented\n\n\n\tcode(x)  # 2026\r\n   ",
    "水害は72時間以内に報告されます。ความเสียหาย पानी से",
    "<|im_start|>user\n<s></s> said",
    "e\u0301\u0301 \U0001f468\u200d\U0001f469 ½ Ⅷ ٣٤ ½",
    *CORPUS[:2],
]
# The patterns that the models' own tokenizer.json have, by llama.cpp's name of them.
PUBLISHED = {
    "llama-bpe": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "qwen2": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "tekken": [
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}"
            r"\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    ],
    "gpt-4o": [
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}"
            r"\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    ],
    "smollm": [r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
}


def own(tmp_path, pairs, name="model.gguf"):
    return GgufCounter(write_gguf(tmp_path / name, pairs))


def test_a_byte_level_vocabulary_counts_as_the_tokenizer_that_it_is_from(tmp_path):
    counter = own(tmp_path, gguf_of(byte_level(), model="gpt2", pre="gpt-2"))
    byte_level().save(str(tmp_path / "tokenizer.json"))
    theirs = HuggingFaceCounter(tmp_path)
    assert [counter.count(text) for text in TEXTS] == [theirs.count(text) for text in TEXTS]
    assert counter.upper_bound("水") == 3
    assert counter.name == "gguf:model.gguf"


@pytest.mark.parametrize("pre", PUBLISHED)
@given(text=st.one_of(st.text(max_size=80), st.sampled_from(TEXTS)))
@settings(max_examples=60)
def test_words_are_cut_as_the_models_own_tokenizer_cuts_them(pre, text, tmp_path_factory):
    counter = own(tmp_path_factory.mktemp("gguf"), gguf_of(byte_level(), model="gpt2", pre=pre))
    ours = counter._loaded.tokenizer.pre_tokenizer
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in PUBLISHED[pre]]
    theirs = pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    text = well_formed(text).replace("\N{LATIN SMALL LETTER LONG S}", "s")  # llama.cpp knows the contractions in ASCII alone
    assert ours.pre_tokenize_str(text) == theirs.pre_tokenize_str(text)


def merged_by_score(text, numbers, scores):
    """SentencePiece's own rule: of all neighbours that are a token together, the one of the highest score, leftmost first."""
    symbols = list(("▁" + text).replace(" ", "▁")) if text else []
    while True:
        pairs = [(-scores[numbers[a + b]], n) for n, (a, b) in enumerate(itertools.pairwise(symbols)) if a + b in numbers]
        if not pairs:
            return sum(1 if symbol in numbers else len(symbol.encode()) for symbol in symbols)
        _, at = min(pairs)
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


@given(text=st.text("thinerwa ▁xé水", max_size=60))
@settings(max_examples=150)
def test_sentence_pieces_are_merged_by_score(text, tmp_path_factory):
    tokenizer = sentence_pieces()
    numbers = tokenizer.get_vocab()
    scores = [-float(number) for number in range(len(numbers))]
    pairs = gguf_of(tokenizer, model="llama") | {"tokenizer.ggml.scores": scores}
    counter = own(tmp_path_factory.mktemp("gguf"), pairs)
    assert counter.count(text) == merged_by_score(text, numbers, scores)


def test_a_request_counts_what_transformers_makes_of_the_same_template(tmp_path):
    fast = PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="<s>", eos_token="</s>", chat_template=LLAMA3)
    pairs = gguf_of(byte_level(), model="gpt2", pre="gpt-2") | {"tokenizer.chat_template": LLAMA3}
    chat = [{"role": message.role, "content": message.content} for message in CHAT]
    expected = fast.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    counter = own(tmp_path, pairs)
    assert counter.count_request(CHAT) == len(expected)
    assert counter.is_exact
    assert counter.is_exact_with_tools
    asked = own(tmp_path, pairs | {"tokenizer.ggml.add_bos_token": True}, "asked.gguf")
    assert asked.count_request(CHAT) == len(expected), "the start of text stands once"


@pytest.mark.parametrize(("pre", "said", "more"), [("gpt-2", {}, 0), ("llama-bpe", {}, 1), ("llama-bpe", {"no": 1}, 0)])
def test_the_start_of_text_is_put_first_where_the_server_does_so(tmp_path, pre, said, more):
    pairs = gguf_of(byte_level(), model="gpt2", pre=pre) | {"tokenizer.chat_template": CHATML}
    if said:
        pairs["tokenizer.ggml.add_bos_token"] = False
    counter = own(tmp_path, pairs)
    rendered = counter._loaded.templates["default"].render(CHAT)
    assert counter.count_request(CHAT) == counter.count(rendered) + more


def test_a_template_of_its_own_for_tools_is_used_for_them(tmp_path):
    pairs = gguf_of(byte_level(), model="gpt2", pre="gpt-2")
    pairs |= {"tokenizer.chat_template": "{{ messages[0].content }}", "tokenizer.chat_template.tool_use": CHATML}
    counter = own(tmp_path, pairs)
    tool = Tool("look_up", "Looks a word up.", {"type": "object", "properties": {}})
    rendered = counter._loaded.templates["tool_use"].render(CHAT, tools=[tool])
    assert counter.count_request(CHAT, tools=[tool]) == counter.count(rendered)


def test_a_file_without_a_template_is_estimated_and_it_is_said(tmp_path):
    counter = own(tmp_path, gguf_of(byte_level(), model="gpt2", pre="gpt-2"))
    assert not counter.is_exact
    assert counter.count_request(CHAT) > sum(counter.count(message.content) for message in CHAT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokenizer.ggml.model": "bert"}, "the kind 'bert'"),
        ({"tokenizer.ggml.pre": "mystery"}, "the way 'mystery'"),
        ({"tokenizer.ggml.merges": ["a", "b"]}, "no whole tokenizer"),
        ({"tokenizer.ggml.model": "llama"}, "no whole tokenizer"),
    ],
)
def test_a_vocabulary_that_is_not_known_is_a_typed_error(tmp_path, change, said):
    counter = own(tmp_path, gguf_of(byte_level(), model="gpt2", pre="gpt-2") | change)
    with pytest.raises(PromptError, match=said) as caught:
        counter.count("x")
    assert caught.value.hint


WHOLE = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
KEY = struct.pack("<Q1s", 1, b"k")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"GGML" + WHOLE[4:],
        struct.pack("<4sIQQ", b"GGUF", 1, 0, 0),
        WHOLE,
        WHOLE + struct.pack("<Q", 1 << 62),
        WHOLE + KEY + struct.pack("<I", 99),
        WHOLE + KEY + struct.pack("<IIQ", 9, 8, 1 << 60),
        WHOLE + KEY + struct.pack("<IIQ", 9, 4, 1 << 60),
        WHOLE + KEY + struct.pack("<IIQ", 9, 9, 1),
    ],
    ids=["empty", "cut", "magic", "version", "no pairs", "long key", "type", "strings", "numbers", "nested"],
)
def test_a_file_that_is_no_gguf_is_a_typed_error_and_takes_no_memory(tmp_path, content):
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(PromptError, match=r"model\.gguf cannot be read"):
        GgufCounter(tmp_path / "model.gguf").count("x")


def test_a_missing_file_is_a_typed_error(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        counter_of(tmp_path / "model.gguf").count("x")
