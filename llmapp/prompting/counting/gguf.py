"""Counts with the tokenizer and the chat template in a GGUF file, as llama.cpp does.

Two kinds of vocabulary are known: byte-level BPE (``gpt2``) with the ways to cut a text that are listed here, and
SentencePiece's (``llama``). Any other is a typed error, not a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmapp.errors import ModelFileError, PromptError
from llmapp.gguf import Value, read_gguf
from llmapp.prompting.counting.templated import Loaded, TemplateCounter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from llmapp.prompting.counting.chat_template import ChatTemplate

_PREFIX = "tokenizer.ggml."
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens that are found whole in a text."""
_SPACE = "▁"

_CONTRACTIONS = "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"
_WORDS_OF_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LINES_AND_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_CAPITALS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"


def _words(digits: str, *, letters: str = r"\p{L}") -> str:
    return (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[{letters}]+|{digits}"
        rf"| ?[^\s{letters}\p{{N}}]+[\r\n]*|{_LINES_AND_SPACES}"
    )


def _cased_words(digits: str, after: str) -> str:
    start = r"[^\r\n\p{L}\p{N}]?"
    return rf"{start}{_CASED}{after}|{start}{_CAPITALS}{after}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES_AND_SPACES}"


_LLAMA3 = (_words(r"\p{N}{1,3}"),)
_QWEN2 = (_words(r"\p{N}"),)
_SINGLE_DIGITS = (r"\p{N}", _WORDS_OF_GPT2)
_CUTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "gigachat"), (_WORDS_OF_GPT2,)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "minerva-7b"), _SINGLE_DIGITS),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"), _LLAMA3),
    **dict.fromkeys(("qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan"), _QWEN2),
    "qwen35": (_words(r"\p{N}", letters=r"\p{L}\p{M}"),),
    "tekken": (_cased_words(r"\p{N}", ""),),
    **dict.fromkeys(("gpt-4o", "llama4"), (_cased_words(r"\p{N}{1,3}", f"(?:{_CONTRACTIONS})?"),)),
}
"""How a text is cut before its pieces are merged, step by step. Source: llama.cpp, src/llama-vocab.cpp."""
_WHOLE_WORDS_FIRST = frozenset({"llama-bpe", "llama3", "llama-v3", "falcon3", "tekken"})
"""A piece that is a token as it stands is not merged (``ignore_merges``). Source: as above."""
_BEGIN = frozenset({"llama-bpe", "llama3", "llama-v3", "falcon3", "tekken"})
"""The start of text is put first where the file says nothing of it. Source: as above."""


class GgufCounter(TemplateCounter):
    """Counts with a GGUF file, read up to its tensors."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is read at the first count.

        Args:
            path: A GGUF file; of one that is split, the first.
        """
        super().__init__(f"gguf:{path.name}", partial(_load, path))


def _load(path: Path) -> Loaded:
    header = _header(path)
    vocabulary = {key.removeprefix(_PREFIX): value for key, value in header.items() if key.startswith(_PREFIX)}
    try:
        tokenizer = _tokenizer(path, vocabulary)
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"{path} holds no whole tokenizer: {error}", hint="name another file of the model") from error
    special = dict(_special_tokens(vocabulary))
    is_begun = vocabulary.get("add_bos_token", vocabulary["model"] == "llama" or vocabulary.get("pre") in _BEGIN)
    return Loaded(tokenizer, _templates(header, special), begin=special.get("bos_token", "") if is_begun else "")


def _header(path: Path) -> Mapping[str, Value]:
    try:
        return read_gguf(path).values
    except ModelFileError as error:
        raise PromptError(error.message, hint=error.hint) from error


def _tokenizer(path: Path, vocabulary: Mapping[str, Any]) -> Tokenizer:
    match vocabulary.get("model"):
        case "gpt2":
            tokenizer = _byte_level(path, vocabulary)
        case "llama":
            tokenizer = _sentence_pieces(vocabulary)
        case other:
            raise PromptError(f"{path} has a vocabulary of the kind {other!r}, which is not known", hint=_other_way())
    from tokenizers import AddedToken

    kinds = zip(vocabulary["tokens"], vocabulary.get("token_type", ()), strict=False)
    whole = [token for token, kind in kinds if kind in {_CONTROL, _USER_DEFINED}]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in whole])
    return tokenizer


def _byte_level(path: Path, vocabulary: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    name = vocabulary.get("pre", "default")
    if name not in _CUTS:
        raise PromptError(f"{path} cuts words in the way {name!r}, which is not known", hint=_other_way())
    numbers = {token: number for number, token in enumerate(vocabulary["tokens"])}
    merges = [(left, right) for left, right in (merge.split(" ", 1) for merge in vocabulary["merges"])]
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges, ignore_merges=name in _WHOLE_WORDS_FIRST))
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _CUTS[name]]
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, as_bytes])
    return tokenizer


def _sentence_pieces(vocabulary: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers

    numbers = {token: number for number, token in enumerate(vocabulary["tokens"])}
    merges = list(_merges(numbers, vocabulary["scores"]))
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges, byte_fallback=True, fuse_unk=True))
    first = [normalizers.Prepend(_SPACE)] if vocabulary.get("add_space_prefix", True) else []
    tokenizer.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", _SPACE)])
    return tokenizer


def _merges(numbers: Mapping[str, int], scores: list[float]) -> Iterator[tuple[str, str]]:
    """Every way to make a token of two others, the token of the highest score first, as SentencePiece merges them."""
    for token in sorted(numbers, key=lambda token: -scores[numbers[token]]):
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        pairs = [(left, right) for left, right in halves if left in numbers and right in numbers]
        yield from sorted(pairs, key=lambda pair: (numbers[pair[0]], numbers[pair[1]]))


def _special_tokens(vocabulary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Texts of the special tokens by the names that templates use."""
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = vocabulary.get(f"{key}_token_id")
        if isinstance(number, int) and number < len(vocabulary["tokens"]):
            yield f"{name}_token", vocabulary["tokens"][number]


def _templates(header: Mapping[str, Any], special_tokens: Mapping[str, str]) -> Mapping[str, ChatTemplate]:
    key = "tokenizer.chat_template"
    sources = {name.removeprefix(f"{key}."): source for name, source in header.items() if name.startswith(f"{key}.")}
    if key in header:
        sources["default"] = header[key]
    if not sources:
        return {}
    from llmapp.prompting.counting.chat_template import ChatTemplate

    return {name: ChatTemplate(source, special_tokens) for name, source in sources.items()}


def _other_way() -> str:
    return "name the tokenizer.json of the model, or none, which estimates"
