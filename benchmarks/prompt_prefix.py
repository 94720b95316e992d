"""How much of each prompt of a long conversation is, to the byte, what the request before began with.

    python benchmarks/prompt_prefix.py

200 turns of about 110 tokens; a question a turn. A provider that caches prefixes bills the shared part at a fraction. The
request where the conversation begins elsewhere, after turns were left out, is counted apart. Beside it a window that slides
by a turn with every question, as keeping the newest turns that fit does. One JSON line a case.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from llmapp.prompting import Assembler, Chunk, Hit, Message, counter_for

TURNS = 200
BUDGET_TOKENS = 16_000
COUNTER = counter_for("openai:gpt-4o")


@dataclass
class Reuse:
    """Tokens of the requests so far."""

    shared_tokens: int = 0
    all_tokens: int = 0
    moves: int = 0
    between_tokens: int = 0
    last: Sequence[Message] = ()

    def add(self, messages: Sequence[Message]) -> None:
        """Compare a request with the one before."""
        same = next((n for n, pair in enumerate(zip(messages, self.last, strict=False)) if pair[0] != pair[1]), 0)
        tokens = COUNTER.count_request(messages)
        shared = COUNTER.count_request(messages[:same]) if same else 0
        if self.last and same < len(self.last) - 1:
            self.moves += 1
        elif self.last:
            self.shared_tokens += shared
            self.between_tokens += tokens
        self.all_tokens += tokens
        self.last = messages


def turn(number: int) -> list[Message]:
    question = Message("user", f"Question {number}: what else is to be said about the claim of {number} March?")
    return [question, Message("assistant", f"Answer {number}: " + "it was reported in time and paid. " * 11)]


def sources(number: int, count: int) -> list[Hit]:
    texts = [f"Passage {number}.{n}. " + "The deductible is 300 euros, and glass is covered. " * 18 for n in range(count)]
    return [
        Hit(Chunk(f"c{n}", "s", f"d{number}.{n}", "u", "Handbook", text, 0, len(text)), 1 / (n + 1), n + 1, "fused")
        for n, text in enumerate(texts)
    ]


def run(hits: int, *, slides: bool) -> Reuse:
    assembler = Assembler(COUNTER, budget_tokens=BUDGET_TOKENS, reserve_output_tokens=500, history_share=0.5)
    reuse, history = Reuse(), []
    for number in range(TURNS):
        newest = history[-120:] if slides else history  # 60 turns come to 6,600 tokens
        question, answer = turn(number)
        reuse.add(assembler.assemble(question.content, sources(number, hits), history=newest).messages)
        history += [question, answer]
    return reuse


def main() -> None:
    for slides in (False, True):
        for hits in (0, 1, 5):
            reuse = run(hits, slides=slides)
            line = {
                "history": "newest 60 turns" if slides else "watermarks",
                "sources_a_question": hits,
                "moves": reuse.moves,
                "reused_between_moves": round(reuse.shared_tokens / max(1, reuse.between_tokens), 4),
                "reused_of_all": round(reuse.shared_tokens / reuse.all_tokens, 4),
            }
            print(json.dumps(line))


if __name__ == "__main__":
    main()
