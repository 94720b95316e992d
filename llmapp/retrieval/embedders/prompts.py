"""What a model wants before a question and before a document.

The settings win; then the prompts that the model brings itself; then this table, by the model's name; else there is none.
An empty prompt of a model's own says nothing: sentence-transformers writes one into every model that it saves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompts:
    """Put before a text as they stand, no space between."""

    query: str = ""
    document: str = ""


_BGE_EN = Prompts("Represent this sentence for searching relevant passages: ")
_KNOWN: tuple[tuple[str, Prompts], ...] = (
    # Source: model card intfloat/e5-base-v2, "Each input text should start with".
    (r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?", Prompts("query: ", "passage: ")),
    # Source: model card intfloat/multilingual-e5-large-instruct, the task of web search.
    (
        r"(multilingual-e5-large|e5-mistral-7b)-instruct",
        Prompts("Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "),
    ),
    # Source: model cards BAAI/bge-large-en-v1.5 and bge-large-zh-v1.5, "query instruction for retrieval".
    (r"bge-(small|base|large)-en(-v1\.5)?", _BGE_EN),
    (r"bge-(small|base|large)-zh(-v1\.5)?", Prompts("为这个句子生成表示以用于检索相关文章：")),
    # Source: model cards mixedbread-ai/mxbai-embed-large-v1, WhereIsAI/UAE-Large-V1, Snowflake/snowflake-arctic-embed-m.
    (r"mxbai-embed-large-v1|uae-large-v1|snowflake-arctic-embed-(xs|s|m|m-long|l)", _BGE_EN),
    # Source: model card nomic-ai/nomic-embed-text-v1.5, "Task instruction prefixes".
    (r"nomic-embed-text(-v1|-v1\.5)?", Prompts("search_query: ", "search_document: ")),
)
_OWN_DOCUMENT = ("document", "passage", "corpus")
"""The first of these names that a model has counts, also when it is empty. Source: `SentenceTransformer.encode_document`, 6.2."""


def prompts_for(
    name: str, own: Mapping[str, str | None], *, query: str | None = None, document: str | None = None
) -> Prompts:
    """The prompts of a model.

    Args:
        name: Its name; what stands before the last ``/`` and after a ``:`` does not count.
        own: The prompts that it brings, by name.
        query: Of the settings; None leaves it to the model, empty is none.
        document: The same, for documents.
    """
    own_query = own.get("query") or ""
    own_document = next((own[key] for key in _OWN_DOCUMENT if key in own), "") or ""
    found = Prompts(own_query, own_document) if own_query or own_document else _known(name)
    return Prompts(found.query if query is None else query, found.document if document is None else document)


def _known(name: str) -> Prompts:
    last = name.rstrip("/").rsplit("/", 1)[-1].partition(":")[0].lower()
    return next((prompts for pattern, prompts in _KNOWN if re.fullmatch(pattern, last)), Prompts())
