"""How well the extractive model answers and abstains: SQuAD 2.0 dev, the half its weights have not seen, and CLAPnq.

A prompt holds five paragraphs: the right one and its four nearest neighbours by MiniLM, or, for "answer elsewhere", the five
nearest without the right one. Adversarial questions are SQuAD's own unanswerable ones, written to look answerable from the
right paragraph. A few articles stand for the half, so that it ends within a minute; ARTICLES can be raised to all of them.

CLAPnq asks for long answers: right is a quote that is among the sentences its annotators selected, and the unanswerable
questions stand beside the paragraph that was taken to answer them.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from evaluation_data import data_folder
from langchain_core.messages import HumanMessage

from llmapp.frames import REFUSAL, frame_question, frame_source, mark_for
from llmapp.models.extractive import ExtractiveChatModel
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

PARAGRAPHS = 5
ARTICLES = 6
QUESTIONS = 120


@dataclass(frozen=True)
class Item:
    """One question with its prompt's paragraphs."""

    kind: str
    question: str
    answers: list[str]
    paragraphs: list[dict[str, str]]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def held_out(folder: Path, embedder: MiniLMEmbedder) -> list[Item]:
    """A sample of questions on articles that the weights were not fitted on."""
    corpus, asked = read(folder / "corpus.jsonl"), read(folder / "queries.jsonl")
    facts = {row["_id"]: row for row in read(folder / "answers.jsonl")}
    pick = random.Random(7)  # noqa: S311  the split of the fit; not a secret
    titles = sorted({paragraph["title"] for paragraph in corpus})
    pick.shuffle(titles)
    unseen = set(titles[len(titles) // 2 :][:ARTICLES])
    place = {paragraph["_id"]: position for position, paragraph in enumerate(corpus)}
    asked = [row for row in asked if corpus[place[facts[row["_id"]]["corpus_id"]]]["title"] in unseen]
    pool = [position for position, paragraph in enumerate(corpus) if paragraph["title"] in unseen]
    vectors = embedder.embed_documents([cut(corpus[at]["title"] + "\n" + corpus[at]["text"], embedder) for at in pool])
    items = []
    for row in pick.sample(asked, QUESTIONS):
        fact = facts[row["_id"]]
        right = place[fact["corpus_id"]]
        near = [pool[at] for at in np.argsort(-(vectors @ embedder.embed_query(row["text"]))) if pool[at] != right]
        kind = "adversarial" if fact["is_impossible"] else "answerable"
        items.append(item(kind, row["text"], fact["answers"], [right, *near[: PARAGRAPHS - 1]], corpus, pick))
        elsewhere = item("answer elsewhere", row["text"], fact["answers"], near[:PARAGRAPHS], corpus, pick)
        if not any(holds(paragraph["text"], fact["answers"]) for paragraph in elsewhere.paragraphs):
            items.append(elsewhere)
    return items


def long_answers(folder: Path, embedder: MiniLMEmbedder) -> list[Item]:
    """A sample of CLAPnq, answered by sentences."""
    corpus = read(folder / "corpus.jsonl")
    facts = {row["_id"]: row for row in read(folder / "answers.jsonl")}
    place = {paragraph["_id"]: position for position, paragraph in enumerate(corpus)}
    vectors = embedder.embed_documents(
        [cut(paragraph["title"] + "\n" + paragraph["text"], embedder) for paragraph in corpus]
    )
    pick = random.Random(7)  # noqa: S311
    items = []
    for row in pick.sample(read(folder / "queries.jsonl"), QUESTIONS):
        fact = facts[row["_id"]]
        right = place[fact["passages"][0]]
        near = [int(at) for at in np.argsort(-(vectors @ embedder.embed_query(row["text"]))) if at != right]
        kind = "answerable" if fact["answerable"] else "adversarial"
        items.append(item(kind, row["text"], fact["selected_sentences"][0], [right, *near[: PARAGRAPHS - 1]], corpus, pick))
    return items


def item(kind: str, question: str, answers: list[str], at: list[int], corpus: Sequence[dict], pick: random.Random) -> Item:  # noqa: PLR0917
    order = pick.sample(at, len(at))
    return Item(kind, question, answers, [corpus[position] for position in order])


def cut(text: str, embedder: MiniLMEmbedder) -> str:
    offsets = embedder.tokenizer.offsets(text)
    room = embedder.max_tokens - embedder.tokenizer.special_tokens
    return text if len(offsets) <= room else text[: offsets[room - 1][1]]


def holds_one(text: str, answers: list[str]) -> bool:
    return holds(re.sub(r" \[\d+\]", "", text), answers)


def holds(text: str, answers: list[str]) -> bool:
    plain = " ".join(text.lower().split())
    return any(" ".join(answer.lower().split()) in plain for answer in answers)


def quotes_one(text: str, sentences: list[str]) -> bool:
    """Whether a quote is one of the sentences, or the other way round; CLAPnq writes blanks around its signs."""
    wanted = [plain for sentence in sentences if (plain := re.sub(r"\W+", "", sentence.lower()))]
    quoted = [plain for quote in re.split(r" \[\d+\]\s*", text) if (plain := re.sub(r"\W+", "", quote.lower()))]
    return text != REFUSAL and any(one in other or other in one for one in wanted for other in quoted)


def prompt(asked: Item) -> list[HumanMessage]:
    mark = mark_for([asked.question, *(paragraph["text"] for paragraph in asked.paragraphs)])
    frames = [
        frame_source(paragraph["text"], mark=mark, number=number, title=paragraph["title"], place="")
        for number, paragraph in enumerate(asked.paragraphs, start=1)
    ]
    return [HumanMessage("\n\n".join([*frames, frame_question(asked.question, mark=mark)]))]


def row(name: str, items: Sequence[Item], answer: Callable[[Item], str], is_right: Callable[[str, list[str]], bool]) -> None:
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    answered, seconds = 0, []
    for one in items:
        start = time.perf_counter()
        text = answer(one)
        seconds.append(time.perf_counter() - start)
        asked[one.kind] += 1
        if one.kind == "answerable":
            answered += text != REFUSAL
            right[one.kind] += is_right(text, one.answers)
        else:
            right[one.kind] += text == REFUSAL
    share = {kind: f"{right[kind] / asked[kind]:.2f}" for kind in asked}
    print(
        f"| {name} | {answered / asked['answerable']:.2f} | {share['answerable']} | {right['answerable'] / max(1, answered):.2f} "
        f"| {share.get('answer elsewhere', '-')} | {share['adversarial']} | {1e3 * float(np.median(seconds)):.0f} |"
    )


def main() -> None:
    embedder = MiniLMEmbedder()
    models = {"words and meaning": ExtractiveChatModel(embedder=embedder), "words only": ExtractiveChatModel()}
    squad, clapnq = data_folder("squad") / "beir-v2.0", data_folder("clapnq") / "beir"
    for name, items, is_right in (
        ("SQuAD 2.0", held_out(squad, embedder), holds_one),
        ("CLAPnq", long_answers(clapnq, embedder), quotes_one),
    ):
        print(f"\n{name}, {len(items)} prompts: {dict(Counter(one.kind for one in items))}\n")
        print("| model | answered | right | right of answered | refused: elsewhere | refused: adversarial | ms p50 |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for label, model in models.items():
            row(label, items, lambda one, model=model: str(model.invoke(prompt(one)).content), is_right)


if __name__ == "__main__":
    main()
