"""100,000 questions by random principals, with random filters and without, against a brute-force oracle, while documents and access lists change.

Not one hit may be of a document that the principal may not read or that the filter does not let through, or of a text that is no longer there; and of the true ten
nearest, 99 in 100 must be found, by exact search and through an index that knows no access list and overlooks some.
"""

import random
import sys
from collections import Counter
from contextlib import closing
from datetime import date
from functools import cache

import numpy as np
import pytest
from filters.oracle import exists, satisfies

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.catalog.records import DocumentRecord
from llmapp.errors import UnknownFieldError
from llmapp.filters import And, Compare, Exists, Not, OneOf, Or
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.fusion import reciprocal_rank
from llmapp.retrieval.hybrid import HybridRetriever
from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.retrieval.planning import Costs
from llmapp.retrieval.projection import IndexProjection
from llmapp.retrieval.serving import ServingIndex
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC, Chunk, Principal

QUERIES = 100_000
WORLDS = 20
BETWEEN_WRITES = 50
TOP_K = 10
TOPICS = 8
DOCUMENTS = 150
GRANTS = [PUBLIC, "user:ann", "user:bob", *(f"group:g{number}" for number in range(TOPICS)), "tenant:acme", "tenant:other"]
USERS = ["eve", "ann", "bob", "public", "g3", "user:ann"]
GROUPS = [*(f"g{number}" for number in range(TOPICS)), "ann", "user:ann", "public", "tenant:acme"]
TENANTS = [None, None, "acme", "other", "g1"]
OWNERS = ["ann", "bob", "7"]
FILTERS_A_BATCH = 6
KINDS = ["exact", "index"] * 3 + ["lexical"] * 3 + ["hybrid"]


class Remembering(HashEmbedder):
    """Embeds a text once."""

    embed_query = cache(HashEmbedder.embed_query)


class OverlookingIndex:
    """Brute force that knows no access list, and overlooks one in 200."""

    name = "overlooking"
    is_shared = True

    def __init__(self):
        self._held = {}
        self._table = None

    def upsert(self, ids, vectors):
        self._held.update(zip(ids, vectors, strict=True))
        self._table = None

    def delete(self, ids):
        for name in ids:
            self._held.pop(name, None)
        self._table = None

    def query(self, vector, *, top_k):
        if self._table is None:
            self._table = list(self._held), np.stack(list(self._held.values()))
        ids, vectors = self._table
        scores = vectors @ vector
        salt = int(abs(float(vector[0])) * 1e6)
        order = [place for place in np.argsort(-scores).tolist() if (place * 7919 + salt) % 200]
        return [(ids[place], float(scores[place])) for place in order[:top_k]]

    def ids(self):
        return set(self._held)

    def settle(self):
        pass

    def clear(self):
        self._held, self._table = {}, None

    def close(self):
        pass


class World:
    """A catalog that is searched and changed, and what the oracle knows of it."""

    def __init__(self, folder, seed):
        self.chance = random.Random(seed)
        self.catalog = Catalog(folder / "catalog.db")
        self.embedder = Remembering()
        index, lock = OverlookingIndex(), FileLock(folder / "index.lock", purpose="the index")
        serving = ServingIndex(self.catalog, lambda _: index, initial=index.name, lock=lock)
        self.projection = IndexProjection(self.catalog, serving, lock)
        lock.acquire()
        exact = DenseRetriever(self.catalog, self.embedder)
        through = DenseRetriever(self.catalog, self.embedder, index=serving, exact_up_to=0, costs=Costs(number_s=1.0))
        lexical = LexicalRetriever(self.catalog)
        hybrid = HybridRetriever(through, lexical, fuse=reciprocal_rank, candidates=20, moments=self.catalog)
        self.retrievers = {"exact": exact, "index": through, "lexical": lexical, "hybrid": hybrid}
        self.held = {}
        self.questions = [self.text(self.chance.randrange(TOPICS)) for _ in range(60)]
        self.write([f"d{number}" for number in range(DOCUMENTS)])
        self.projection.apply_pending()

    def text(self, topic):
        return " ".join(f"w{topic}x{self.chance.randrange(30)}" for _ in range(self.chance.randrange(2, 6)))

    def grants(self, topic):
        # Mostly those of the topic: what may be read lies together, as far from a question of another topic as can be.
        if self.chance.random() < 0.6:
            return (f"group:g{topic}",)
        return tuple(self.chance.sample(GRANTS, self.chance.randrange(3)))

    def metadata(self, topic):
        """Facts of a document; each but the topic may be missing."""
        facts = {
            "owner": self.chance.choice(OWNERS),
            "due": f"2026-0{self.chance.randrange(1, 10)}-15",
            "tags": self.chance.sample(OWNERS, self.chance.randrange(3)),
            "plan": {"size": self.chance.randrange(5)},
        }
        return {"topic": topic} | {name: value for name, value in facts.items() if self.chance.random() < 0.7}

    def principal(self):
        groups = tuple(self.chance.sample(GROUPS, self.chance.choice([0, 0, 1, 2, 5])))
        return Principal(self.chance.choice(USERS), groups, self.chance.choice(TENANTS))

    def filter(self, depth=2):
        """Any tree of the language over the facts of `metadata`."""
        kind = self.chance.choice(["leaf", "leaf", "not", "and", "or"]) if depth else "leaf"
        if kind == "leaf":
            return self.condition()
        if kind == "not":
            return Not(self.filter(depth - 1))
        return (And if kind == "and" else Or)((self.filter(depth - 1), self.filter(depth - 1)))

    def condition(self):
        operator = self.chance.choice(["<", "<=", ">", ">="])
        return self.chance.choice(
            [
                Compare("topic", operator, self.chance.randrange(TOPICS)),
                Compare("due", operator, date(2026, self.chance.randrange(1, 10), 15)),
                OneOf("topic", tuple(self.chance.sample(range(TOPICS), 3))),
                OneOf(self.chance.choice(["owner", "tags"]), (self.chance.choice(OWNERS),)),
                Exists(self.chance.choice(["owner", "due", "tags", "plan", "plan.size"])),
            ]
        )

    def write(self, names):
        records, vectors = [], {}
        for name in names:
            topic = self.chance.randrange(TOPICS)
            texts = [self.text(topic) for _ in range(self.chance.randrange(1, 4))]
            acl, metadata, chunks, start = self.grants(topic), self.metadata(topic), [], 0
            for text in texts:
                chunk_id = f"{name}-{start}-{text}"
                chunks.append(Chunk(chunk_id, "s", name, name, "", text, start, start + len(text)))
                vectors[text] = self.embedder.embed_query(text)
                start += len(text) + 1
            records.append(
                DocumentRecord(
                    "s",
                    name,
                    name,
                    "",
                    " ".join(texts),
                    (),
                    None,
                    metadata,
                    acl,
                    None,
                    "h",
                    "p",
                    tuple(chunks),
                    tuple(texts),
                )
            )
            self.held[name] = (acl, metadata, texts)
        self.catalog.replace(records, vectors)

    def change(self):
        names = [f"d{self.chance.randrange(DOCUMENTS)}" for _ in range(3)]
        match self.chance.randrange(4):
            case 0:
                self.catalog.delete("s", names[:1])
                self.held.pop(names[0], None)
            case 1:
                given = {name: self.grants(self.chance.randrange(TOPICS)) for name in names if name in self.held}
                self.catalog.set_access("s", given, own=True)
                self.held |= {name: (acl, *self.held[name][1:]) for name, acl in given.items()}
            case _:
                self.write(dict.fromkeys(names))
        if self.chance.random() < 0.5:
            self.projection.apply_pending()

    def readable(self, principal):
        """What the oracle lets the principal read: document and text, and the vectors. Shape (n, dim)."""
        listed = [
            (name, text) for name, (acl, _, texts) in self.held.items() if principal.grants & set(acl) for text in texts
        ]
        vectors = [self.embedder.embed_query(text) for _, text in listed]
        return listed, np.array(vectors, dtype=np.float64).reshape(len(listed), -1)

    def passing(self, where):
        """The documents that the oracle lets through a filter."""
        return {name for name, (_, metadata, _) in self.held.items() if where is None or satisfies(where, metadata)}

    def close(self):
        self.retrievers["hybrid"].close()
        self.catalog.close()


def judge(world, kind, question, principal, where, truth, passing, tally):
    """Ask once, and count what is foreign, what was to be found and what was found."""
    listed, vectors = truth
    wanted = [place for place, (name, _) in enumerate(listed) if name in passing]
    texts = {listed[place] for place in wanted}
    tally["queries"] += 1
    try:
        hits = world.retrievers[kind].retrieve(question, principal=principal, top_k=TOP_K, where=where)
    except UnknownFieldError as error:
        path = error.field.split(".")
        tally["wrongly unknown"] += any(exists(world.held[name][1], path) for name, _ in listed)
        return
    tally["foreign"] += sum((hit.chunk.document_id, hit.chunk.text) not in texts for hit in hits)
    if kind in {"exact", "index"} and wanted:
        scores = np.sort(vectors[wanted] @ world.embedder.embed_query(question))[::-1][:TOP_K]
        tally[f"{kind} wanted"] += len(scores)
        tally[f"{kind} found"] += sum(hit.score >= scores[-1] - 1e-6 for hit in hits)
    if kind == "lexical":
        words = set(question.split())
        tally["lexical wanted"] += min(TOP_K, sum(not words.isdisjoint(listed[place][1].split()) for place in wanted))
        tally["lexical found"] += len(hits)


@pytest.mark.parametrize("seed", range(WORLDS))
def test_nothing_foreign_is_found_and_hardly_anything_is_missed(tmp_path, seed):
    tally = Counter()
    with closing(World(tmp_path, seed)) as world:
        while tally["queries"] < QUERIES // WORLDS:
            truths = {principal: world.readable(principal) for principal in [world.principal() for _ in range(8)]}
            filters = [world.filter() for _ in range(FILTERS_A_BATCH)] + [None] * FILTERS_A_BATCH
            passing = {where: world.passing(where) for where in filters}
            for _ in range(BETWEEN_WRITES):
                principal, question = world.chance.choice(list(truths)), world.chance.choice(world.questions)
                kind, where = world.chance.choice(KINDS), world.chance.choice(filters)
                judge(world, kind, question, principal, where, truths[principal], passing[where], tally)
            world.change()
        assert world.retrievers["index"].degraded is None
    sys.stdout.write(f"{dict(tally)}\n")
    assert (tally["foreign"], tally["wrongly unknown"]) == (0, 0), tally
    for kind in ("exact", "index", "lexical"):
        assert tally[f"{kind} wanted"] > 1000, tally
        assert 0.99 * tally[f"{kind} wanted"] <= tally[f"{kind} found"] <= tally[f"{kind} wanted"], tally
