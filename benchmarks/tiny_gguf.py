"""Makes a GGUF file of a vocabulary, with a model of one tiny layer and random weights, so that llama.cpp serves it.

    pip install gguf sentencepiece mistral-common --no-deps
    python benchmarks/tiny_gguf.py tokenizer.model.v1 mistral.gguf                    # SentencePiece, as mistral-common carries it
    python benchmarks/tiny_gguf.py tekken_240718.json tekken.gguf --pre tekken        # likewise
    python benchmarks/tiny_gguf.py o200k_base.tiktoken o200k.gguf --pre gpt-4o        # ranks, as tiktoken has them
    python benchmarks/tiny_gguf.py tokenizer.json deepseek.gguf --pre deepseek-v3     # byte-level BPE of Hugging Face tokenizers

``--set KEY=VALUE`` puts a key of the header, ``tokenizer.ggml.`` before it, e.g. ``add_space_prefix=false``; ``--name`` the model's;
``--control TOKEN`` adds a token. Then: ``python benchmarks/llama_cpp_counts.py FILE.gguf``.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

NORMAL, UNKNOWN, CONTROL, UNUSED, BYTE = 1, 2, 3, 5, 6
WIDTH = 32
CHAT = "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"


@dataclass
class Vocabulary:
    """What the header says of it."""

    model: str
    tokens: list[str]
    kinds: list[int]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    begin: int = 0
    end: int = 0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("vocabulary", type=Path)
    options.add_argument("file", type=Path)
    options.add_argument("--pre", default="default", help="llama.cpp's name of the way to cut words")
    options.add_argument("--name", default="tiny", help="name of the model")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options.add_argument("--control", action="append", default=[], metavar="TOKEN")
    given = options.parse_args()
    vocabulary = read(given.vocabulary)
    vocabulary.tokens += given.control
    vocabulary.kinds += [CONTROL] * len(given.control)
    vocabulary.scores += [0.0] * len(given.control) if vocabulary.scores else []
    write(given.file, vocabulary, pre=given.pre, name=given.name, keys=dict(each.split("=") for each in given.set))


def read(file: Path) -> Vocabulary:
    """The vocabulary in a file, by what it is."""
    if file.suffix == ".json":
        content = json.loads(file.read_text(encoding="utf-8"))
        return _tekken(content) if "config" in content else _hugging_face(content)
    head = file.read_bytes()[:200]
    is_ranks = head.split(b"\n", 1)[0].rpartition(b" ")[2].isdigit()
    return _ranked(_tiktoken(file), []) if is_ranks else _sentence_pieces(file)


def write(file: Path, vocabulary: Vocabulary, *, pre: str, name: str, keys: Mapping[str, str]) -> None:
    """Write the file."""
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name(name)
    for key, value in {
        "context_length": 512, "embedding_length": WIDTH, "block_count": 1, "feed_forward_length": WIDTH,
        "attention.head_count": 4, "attention.head_count_kv": 4, "vocab_size": len(vocabulary.tokens),
    }.items():  # fmt: skip
        writer.add_uint32(f"llama.{key}", value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.begin)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_chat_template(CHAT)
    for key, value in keys.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value == "true")
    for tensor, shape in _shapes(len(vocabulary.tokens)).items():
        writer.add_tensor(tensor, np.random.default_rng(0).standard_normal(shape).astype(np.float32) / WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(tokens: int) -> dict[str, tuple[int, ...]]:
    layer = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), (WIDTH, WIDTH)),
        **dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,)),
    }
    outer = {"token_embd.weight": (tokens, WIDTH), "output_norm.weight": (WIDTH,), "output.weight": (tokens, WIDTH)}
    return outer | {f"blk.0.{name}.weight": shape for name, shape in layer.items()}


def _sentence_pieces(file: Path) -> Vocabulary:
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(model_file=str(file))
    numbers = range(model.vocab_size())
    tokens, scores = [model.id_to_piece(n) for n in numbers], [model.get_score(n) for n in numbers]
    tests = ((model.is_unknown, UNKNOWN), (model.is_control, CONTROL), (model.is_unused, UNUSED), (model.is_byte, BYTE))
    kinds = [next((kind for test, kind in tests if test(n)), NORMAL) for n in numbers]
    return Vocabulary("llama", tokens, kinds, scores, begin=model.bos_id(), end=model.eos_id())


def _tekken(content: dict) -> Vocabulary:
    config = content["config"]
    special = config["default_num_special_tokens"]
    kept = content["vocab"][: config["default_vocab_size"] - special]
    return _ranked([base64.b64decode(each["token_bytes"]) for each in kept], [f"<SPECIAL_{n}>" for n in range(special)])


def _tiktoken(file: Path) -> list[bytes]:
    return [base64.b64decode(line.split()[0]) for line in file.read_bytes().splitlines() if line]


def _ranked(ranked: list[bytes], special: list[str]) -> Vocabulary:
    """Of tokens by rank: the merge that makes a token is the last one when its bytes are merged by lower ranks."""
    special = special or ["<|begin|>", "<|end|>"]
    shown = _shown_bytes()
    ranks = {token: rank for rank, token in enumerate(ranked)}
    merges = [" ".join("".join(shown[b] for b in half) for half in pair) for pair in _merges(ranked, ranks)]
    tokens = [*special, *("".join(shown[b] for b in token) for token in ranked)]
    kinds = [CONTROL] * len(special) + [NORMAL] * len(ranked)
    return Vocabulary("gpt2", tokens, kinds, merges=merges, begin=0, end=1)


def _merges(ranked: list[bytes], ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    for rank, token in enumerate(ranked):
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            pairs = [(ranks.get(a + b, rank), n) for n, (a, b) in enumerate(pairwise(parts))]
            lowest, at = min(pairs)
            if lowest >= rank:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            yield parts[0], parts[1]


def _shown_bytes() -> list[str]:
    """How GPT-2 shows bytes as characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def _hugging_face(content: dict) -> Vocabulary:
    model = content["model"]
    numbers = {number: token for token, number in model["vocab"].items()}
    added = {each["id"]: each["content"] for each in content["added_tokens"]}
    count = max(*numbers, *added) + 1
    tokens = [added.get(n) or numbers.get(n) or f"[UNUSED_{n}]" for n in range(count)]
    kinds = [CONTROL if n in added else NORMAL if n in numbers else UNUSED for n in range(count)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return Vocabulary("gpt2", tokens, kinds, merges=merges, begin=0, end=1)


if __name__ == "__main__":
    main()
