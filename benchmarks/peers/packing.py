"""Packs random inputs with every packer, in an environment that has them all, and prints what came out as JSON.

python packing.py HOW_MANY_PACKS
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from packing_inputs import SYSTEM, Pack, counters, encodings_folder, fixed_tokens, kinds, packs

os.environ["TIKTOKEN_CACHE_DIR"] = str(encodings_folder())

from packers import PACKERS, Packer, Sent

from llmapp.errors import LLMAppError
from llmapp.protocols import TokenCounter


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints is no answer
    found = list(measured(int(sys.argv[1])))
    json.dump(found, answer)


def measured(how_many: int) -> Iterable[dict[str, Any]]:
    """A row for each packer and tokenizer."""
    for name, make in counters().items():
        judge = make()
        given = [pack for kind, text in kinds().items() for pack in packs(kind, text, judge, how_many)]
        for packer in PACKERS:
            if not packer.tokenizers or name in packer.tokenizers:
                own = [pack for pack in given if pack.task == packer.task]
                yield {**described(packer), "tokenizer": name, **outcome(packer, own, judge, make())}
                print(name, packer.task, packer.name, file=sys.stderr)


def described(packer: Packer) -> dict[str, Any]:
    release = f" {version(packer.package)}" if packer.package else ""
    return {
        "name": packer.name,
        "release": packer.name + release,
        "task": packer.task,
        "how": packer.how,
        "is_ours": not packer.package,
    }


def outcome(packer: Packer, given: Sequence[Pack], judge: TokenCounter, counter: TokenCounter) -> dict[str, Any]:
    """What the packer made of all packs, and how long it took; and what it sends where nothing fits."""
    results = [result(packer, pack, judge, counter) for pack in given]
    hopeless = [replace(pack, budget_tokens=fixed_tokens(pack, judge) // 2) for pack in given[:: max(1, len(given) // 40)]]
    sent = [result(packer, pack, judge, counter) for pack in hopeless]
    return {
        "results": results,
        "hopeless": len(hopeless),
        "hopeless_sent": sum(each.get("excess", 0) > 0 for each in sent),
    }


def result(packer: Packer, pack: Pack, judge: TokenCounter, counter: TokenCounter) -> dict[str, Any]:
    """Excess over the budget by the exact count of what is sent, shares, and microseconds of the processor; or the refusal."""
    started = time.process_time()
    try:
        sent: Sent = packer.pack(pack, counter)
    except Exception as error:  # each has errors of its own
        if not packer.package and not isinstance(error, LLMAppError):
            raise
        return {"refused": f"{type(error).__name__}: {error}"}
    took_us = (time.process_time() - started) * 1e6
    tokens = judge.count(sent) if isinstance(sent, str) else judge.count_request(sent)
    text = sent if isinstance(sent, str) else "\0".join(message.content for message in sent)
    return {
        "used": tokens / pack.budget_tokens,
        "excess": tokens - pack.budget_tokens,
        "whole": sum(part in text for part in pack.parts) / len(pack.parts),
        "lost": SYSTEM not in text or pack.question not in text,
        "us": took_us,
    }


if __name__ == "__main__":
    main()
