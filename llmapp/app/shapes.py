"""The JSON shapes of answers, hits and errors: the same on the command line with ``--json`` and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

from pydantic import JsonValue

from llmapp.app.summaries.result import Summary, SummaryPlan
from llmapp.catalog.records import FieldRecord, QuarantineRecord
from llmapp.errors import LLMAppError
from llmapp.prompting.views.shape import report_shape
from llmapp.types import Answer, Chunk, Citation, Found, Hit

Shape: TypeAlias = dict[str, JsonValue]


def answer_shape(answer: Answer) -> Shape:
    """An answer with its citations, cost and prompt report."""
    return {
        "question": answer.question,
        "follows_up": answer.follows_up,
        "answer": answer.text,
        "citations": [citation_shape(citation) for citation in answer.citations],
        "model": answer.model,
        "usage": asdict(answer.usage),
        "cost_usd": answer.cost_usd,
        "prompt": report_shape(answer.report),
        "queries": list(answer.queries),
        "notes": list(answer.notes),
        "timings_s": _rounded(answer.timings_s),
    }


def summary_shape(summary: Summary) -> Shape:
    """A summary with its citations, its cost and its requests in short."""
    return {
        "summary": summary.text,
        "citations": [citation_shape(citation) for citation in summary.citations],
        "model": summary.model,
        "documents": summary.documents,
        "rounds": summary.rounds,
        "usage": asdict(summary.usage),
        "cost_usd": summary.cost_usd,
        "requests": [asdict(request) for request in summary.requests],
        "notes": list(summary.notes),
        "timings_s": _rounded(summary.timings_s),
    }


def plan_shape(plan: SummaryPlan) -> Shape:
    """What a summary would take."""
    return asdict(plan)


def citation_shape(citation: Citation) -> Shape:
    """A pointer to the words of a document."""
    return {
        "number": citation.number,
        "uri": citation.uri,
        "title": citation.title,
        "page": citation.page,
        "start_char": citation.start_char,
        "end_char": citation.end_char,
        "quote": citation.quote,
    }


def found_shape(found: Found) -> Shape:
    """Hits, best first, what was left out, and what it has cost."""
    return {"hits": [_hit_shape(hit) for hit in found.hits], "notes": list(found.notes), "cost_usd": found.cost_usd}


def labels(found: Found) -> dict[str, str]:
    """How a person knows a chunk, by its id: title and place of the document."""
    return {hit.chunk.id: _label(hit.chunk) for hit in found.hits}


def fields_shape(fields: Sequence[FieldRecord]) -> Shape:
    """The fields that a filter may name, with documents by kind of value."""
    return {"fields": [{"name": field.name, "documents": dict(field.documents)} for field in fields]}


def quarantine_shape(records: Sequence[QuarantineRecord]) -> list[JsonValue]:
    """Documents that were set aside, with the reason."""
    return [
        {
            "document_id": f"{r.source}:{r.document_id}",
            "uri": r.uri,
            "stage": r.stage,
            "code": r.code,
            "reason": r.reason,
            "attempts": r.attempts,
            "retry": r.retry,
            "next_try_at": r.next_try_at or None,
        }
        for r in records
    ]


def error_shape(error: LLMAppError) -> Shape:
    """An error of the tree."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint, "retryable": error.retryable}}


def _rounded(timings_s: Mapping[str, float]) -> Shape:
    return {stage: round(seconds, 6) for stage, seconds in timings_s.items()}


def _hit_shape(hit: Hit) -> Shape:
    chunk = hit.chunk
    return {
        "rank": hit.rank,
        "score": hit.score,
        "uri": chunk.uri,
        "document_id": chunk.key,
        "chunk_id": chunk.id,
        "start_char": chunk.start_char,
        "end_char": chunk.end_char,
        "page": chunk.page,
        "text": chunk.text,
    }


def _label(chunk: Chunk) -> str:
    if chunk.page is not None:
        return f"{chunk.title}, page {chunk.page}"
    begins_with_title = chunk.heading.startswith(chunk.title)
    return chunk.heading if begins_with_title else " › ".join(part for part in (chunk.title, chunk.heading) if part)
