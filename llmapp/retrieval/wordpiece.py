"""The tokenizer of all-MiniLM-L6-v2, built from BERT's vocabulary.

Equal to the model's own `tokenizer.json`, but for one thing: the words ``[SEP]``, ``[CLS]``, ``[MASK]`` in a text are text
here, never control tokens, so a document cannot end its own input early. Nothing is loaded before the first use.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from llmapp.errors import EmbedderError
from llmapp.retrieval.lazy_tokenizer import LazyTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

_VOCABULARY = "bert-base-uncased-vocab.txt"
_VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_LONGEST_WORD_CHARS = 100
"""A longer word is one unknown token. Source: the model's tokenizer.json, ``max_input_chars_per_word``."""


class WordPieceTokenizer(LazyTokenizer):
    """BERT's uncased word pieces. Implements `llmapp.protocols.Tokenizer`; safe to use from several threads."""

    identity = f"bert-base-uncased@{_VOCABULARY_SHA256[:8]}"
    """Name and revision of the vocabulary."""
    special_tokens = 2
    """``[CLS]`` before and ``[SEP]`` after every input."""

    def _build(self) -> FastTokenizer:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

        vocabulary = _read_vocabulary()
        tokenizer = Tokenizer(
            models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD_CHARS)  # noqa: S106 - a token of text
        )
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
        )
        return tokenizer


def _read_vocabulary() -> dict[str, int]:
    try:
        content = resources.files("llmapp.retrieval").joinpath("data", _VOCABULARY).read_bytes()
    except OSError as error:
        raise EmbedderError(f"the vocabulary {_VOCABULARY} is missing", hint="install llmapp again") from error
    if hashlib.sha256(content).hexdigest() != _VOCABULARY_SHA256:
        raise EmbedderError(f"the vocabulary {_VOCABULARY} has been altered", hint="install llmapp again")
    return {token: number for number, token in enumerate(content.decode("utf-8").rstrip("\n").split("\n"))}
