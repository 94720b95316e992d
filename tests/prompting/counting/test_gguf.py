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
# The patterns that the models' own tokenizer.json have, by llama.cpp's name of them; of tekken and gpt-4o those of llama.cpp
# itself, which it has in their place. Source: src/llama-vocab.cpp.
PUBLISHED = {
    "llama-bpe": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "qwen2": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "tekken": [
        (
            r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+"
            r"((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    ],
    "gpt-4o": [
        (
            r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]"
            r"|'[dD])?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]"
            r"|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        (
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
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
def test_words_are_cut_as_they_are_published(pre, text, tmp_path_factory):
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


def test_the_token_for_what_is_unknown_is_found_whole(tmp_path):
    pairs = gguf_of(sentence_pieces(), model="llama")
    kinds = [2 if token == "<s>" else 1 for token in pairs["tokenizer.ggml.tokens"]]
    scores = [-float(number) for number in range(len(kinds))]
    pairs |= {"tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": kinds}
    counter = own(tmp_path, pairs | {"tokenizer.ggml.add_space_prefix": False})
    assert counter.count("the<s>water") == counter.count("the") + 1 + counter.count("water")


@pytest.mark.parametrize(("name", "taken"), [("Phi-3-mini", True), ("Llama 2", False)])
def test_white_space_behind_a_special_token_belongs_to_it_where_llama_cpp_says_so(tmp_path, name, taken):
    pairs = gguf_of(byte_level(), model="gpt2", pre="gpt-2") | {"general.name": name}
    counter = own(tmp_path, pairs)
    assert (counter.count("<|im_start|>\n\nthe") == counter.count("<|im_start|>the")) is taken
    assert counter.count("<s>\n\nthe") > counter.count("<s>the"), "not behind the start of text"


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
