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
    from tokenizers import AddedToken, Tokenizer

    from llmapp.prompting.counting.chat_template import ChatTemplate

_PREFIX = "tokenizer.ggml."
_FOUND_WHOLE = frozenset({2, 3, 4})
"""Types of tokens that are found whole in a text: unknown, control, user defined. Source: llama.cpp, src/llama-vocab.cpp."""
_TAKES_SPACES, _TAKES_NONE = ("phi-3", "phi3"), frozenset({"<unk>", "<s>", "<|endoftext|>"})
"""Models, by name, whose special tokens take the white space behind them, and those that do not. Source: as above."""
_SPACE = "▁"

_CONTRACTIONS = "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"
_WORDS_OF_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LINES_AND_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{L}&&[^a-z]]", r"[\p{L}&&[^A-Z]]"
"""llama.cpp tells case in ASCII only, and a mark is no part of a word there, unlike in the models' own tokenizers."""


def _words(digits: str, *, letters: str = r"\p{L}") -> str:
    return (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[{letters}]+|{digits}"
        rf"| ?[^\s{letters}\p{{N}}]+[\r\n]*|{_LINES_AND_SPACES}"
    )


def _cased_words(digits: str, after: str) -> str:
    start = r"[^\r\n\p{L}\p{N}]?"
    cased, capitals = f"{_UPPER}*{_LOWER}+", f"{_UPPER}+{_LOWER}*"
    return rf"{start}{cased}{after}|{start}{capitals}{after}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES_AND_SPACES}"


_LLAMA3 = (_words(r"\p{N}{1,3}"),)
_QWEN2 = (_words(r"\p{N}"),)
_GPT4O = (_cased_words(r"\p{N}{1,3}", f"(?:{_CONTRACTIONS})?"),)
_SINGLE_DIGITS = (r"\p{N}", _WORDS_OF_GPT2)
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    (
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
        rf"|{_LINES_AND_SPACES}"
    ),
)
_BEGUN_LLAMA3 = ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2")
_CUTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "gigachat", "mellum", "exaone4"), (_WORDS_OF_GPT2,)
    ),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "minerva-7b", "exaone"), _SINGLE_DIGITS),
    **dict.fromkeys((*_BEGUN_LLAMA3, "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"), _LLAMA3),
    **dict.fromkeys(("qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez", "solar-open", "grok-2"), _QWEN2),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense"), _DEEPSEEK3),
    "qwen35": (_words(r"\p{N}", letters=r"\p{L}\p{M}"),),
    "tekken": (_cased_words(r"\p{N}", ""),),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "minimax-m2"), _GPT4O),
}
"""How a text is cut before its pieces are merged, step by step. Source: llama.cpp, src/llama-vocab.cpp."""
_BEGUN = frozenset({*_BEGUN_LLAMA3, "tekken"})
"""The start of text is put first where the file says nothing of it, and a piece that is a token as it stands is not merged
(``ignore_merges``). Source: as above."""


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
        tokenizer.add_special_tokens(list(_found_whole(vocabulary, str(header.get("general.name", "")))))
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"{path} holds no whole tokenizer: {error}", hint="name another file of the model") from error
    special = dict(_special_tokens(vocabulary))
    is_begun = vocabulary.get("add_bos_token", vocabulary["model"] == "llama" or vocabulary.get("pre") in _BEGUN)
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
    return tokenizer


def _found_whole(vocabulary: Mapping[str, Any], model: str) -> Iterator[AddedToken]:
    from tokenizers import AddedToken

    takes_spaces = any(name in model.lower() for name in _TAKES_SPACES)
    for token, kind in zip(vocabulary["tokens"], vocabulary.get("token_type", ()), strict=False):
        if kind in _FOUND_WHOLE:
            takes = takes_spaces and token not in _TAKES_NONE
            yield AddedToken(token, special=True, normalized=False, rstrip=takes)


def _byte_level(path: Path, vocabulary: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    name = vocabulary.get("pre", "default")
    if name not in _CUTS:
        raise PromptError(f"{path} cuts words in the way {name!r}, which is not known", hint=_other_way())
    numbers = {token: number for number, token in enumerate(vocabulary["tokens"])}
    merges = [(left, right) for left, right in (merge.split(" ", 1) for merge in vocabulary["merges"])]
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges, ignore_merges=name in _BEGUN))
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
