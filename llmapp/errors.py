"""Every error that a correct program can meet, as one tree.

    LLMAppError                         code · retryable · hint
    ├── ConfigError                     the operator must change a setting
    │   ├── UnknownSettingError         a key that no setting has; names the nearest one
    │   ├── UnknownPluginError          no entry point of that name
    │   └── MissingDependencyError      an extra is not installed; names it
    ├── ConnectorError                  a source cannot be read
    │   ├── SourceNotFoundError         the path or address is not there
    │   └── SourceEmptyError            there is nothing in it; what was taken in before is kept
    ├── IngestionError                  one document cannot be taken in (it is quarantined)
    │   ├── UnsupportedMediaTypeError   no parser reads it
    │   ├── ParseError                  the parser refused it, or it holds no text
    │   └── ParserCrashedError          the parser died, hung or took too much memory
    ├── CatalogError                    the database cannot be used
    │   ├── CatalogVersionError         written by a newer llmapp
    │   └── LockedError                 another process holds the lock (retryable)
    ├── RetrievalError                  a search cannot be made
    │   ├── NothingIngestedError        the catalog has never held a document
    │   ├── EmbedderError               the model file is missing, altered, or failed
    │   ├── EmbedderMismatchError       the catalog was embedded by another embedder
    │   └── IndexUnavailableError       the vector index cannot be read; exact search still serves
    ├── PromptError                     a prompt cannot be made
    │   ├── TokenBudgetExceededError    not even the smallest prompt fits
    │   └── QuestionTooLongError        the question alone is over its limit
    ├── ModelError                      a model cannot be called
    │   ├── UnknownModelError           no provider of that name
    │   ├── ModelAuthError              the provider refused the key
    │   ├── ModelRateLimitedError       too many requests (retryable)
    │   ├── ModelTimeoutError           no answer in time (retryable)
    │   └── ModelUnavailableError       the provider cannot be reached (retryable)
    ├── CostError                       money
    │   ├── BudgetExceededError         the call could cost more than is left
    │   └── UnknownPriceError           no price is known; never taken as zero
    └── RequestError                    what a client sent
        ├── InvalidRequestError         not the documented shape
        ├── RequestTooLargeError        more bytes than the route takes
        └── OverloadedError             as many questions at once as the server takes (retryable)

A layer raises only its own family. Data is in attributes and the message is built from them. HTTP status and exit code
live in one table each: `llmapp.server.errors` and `llmapp.cli.errors`. A programming mistake stays a built-in error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal


class LLMAppError(Exception):
    """Root of the tree.

    Attributes:
        code: Stable slug for machines, e.g. ``budget_exceeded``.
        retryable: Whether the same call may succeed later, unchanged.
        hint: What to do next, one sentence; empty when there is nothing to add.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message and the hint.

        Args:
            message: What went wrong, one line.
            hint: What to do next, one sentence.
        """
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(LLMAppError):
    """The operator must change a setting."""

    code = "config_invalid"


class UnknownSettingError(ConfigError):
    """A key that no setting has."""

    code = "unknown_setting"


class UnknownPluginError(ConfigError):
    """No entry point of that name is registered."""

    code = "unknown_plugin"


class MissingDependencyError(ConfigError):
    """A part needs a package that is not installed."""

    code = "missing_dependency"

    def __init__(self, package: str, *, extra: str) -> None:
        """Name the package and the extra that brings it.

        Args:
            package: Import name that was not found.
            extra: Extra of llmapp that installs it.
        """
        super().__init__(f"{package} is not installed", hint=f"pip install 'llmapp[{extra}]'")
        self.package = package
        self.extra = extra


class ConnectorError(LLMAppError):
    """A source cannot be read."""

    code = "source_failed"


class SourceNotFoundError(ConnectorError):
    """The path or address of a source is not there."""

    code = "source_not_found"


class SourceEmptyError(ConnectorError):
    """A source mentions no document at all; what was taken in from it before is kept."""

    code = "source_empty"


class IngestionError(LLMAppError):
    """One document cannot be taken in; it is quarantined and the run goes on."""

    code = "document_failed"


class UnsupportedMediaTypeError(IngestionError):
    """No parser reads this media type."""

    code = "unsupported_media_type"


class ParseError(IngestionError):
    """The parser refused the document, or found no text in it."""

    code = "parse_failed"


class ParserCrashedError(IngestionError):
    """The parser process died, took too long or took too much memory."""

    code = "parser_crashed"


class CatalogError(LLMAppError):
    """The database cannot be used."""

    code = "catalog_failed"


class CatalogVersionError(CatalogError):
    """The database was written by a newer llmapp."""

    code = "catalog_too_new"


class LockedError(CatalogError):
    """Another process holds the lock of the index or of ingestion."""

    code = "locked"
    retryable = True


class RetrievalError(LLMAppError):
    """A search cannot be made."""

    code = "retrieval_failed"


class NothingIngestedError(RetrievalError):
    """The catalog has never held a document: an empty answer would be taken for a fact about documents."""

    code = "nothing_ingested"


class EmbedderError(RetrievalError):
    """The embedding model is missing, altered, or failed."""

    code = "embedder_failed"


class EmbedderMismatchError(RetrievalError):
    """The catalog holds vectors of another embedder."""

    code = "embedder_mismatch"

    def __init__(self, *, stored: str, configured: str) -> None:
        """Name both embedders.

        Args:
            stored: Identity of the embedder that made the stored vectors.
            configured: Identity of the embedder in the settings.
        """
        super().__init__(
            f"the catalog was embedded with {stored}, the settings name {configured}",
            hint="restore the embedder in llmapp.toml, or remove .llmapp/ and ingest again",
        )
        self.stored = stored
        self.configured = configured


class IndexUnavailableError(RetrievalError):
    """The vector index cannot be read; exact search still serves."""

    code = "index_unavailable"


class PromptError(LLMAppError):
    """A prompt cannot be made."""

    code = "prompt_failed"


class TokenBudgetExceededError(PromptError):
    """Not even the smallest prompt fits the token budget."""

    code = "token_budget_exceeded"

    def __init__(self, *, needed_tokens: int, available_tokens: int, sections: dict[str, int]) -> None:
        """Say what is needed and what there is.

        Args:
            needed_tokens: Exact tokens of the smallest request.
            available_tokens: Tokens that the request may have.
            sections: Tokens that each section of the smallest request asks for.
        """
        table = ", ".join(f"{name} {tokens}" for name, tokens in sections.items())
        super().__init__(
            f"the smallest prompt needs {needed_tokens} tokens, the budget has {available_tokens} ({table})",
            hint="shorten the question, raise prompt.budget_tokens, or choose a model with a larger window",
        )
        self.needed_tokens = needed_tokens
        self.available_tokens = available_tokens
        self.sections = sections


class QuestionTooLongError(PromptError):
    """The question alone is over its limit."""

    code = "question_too_long"

    def __init__(self, *, got_chars: int, limit_chars: int) -> None:
        """Say how long it is and how long it may be.

        Args:
            got_chars: Characters of the question.
            limit_chars: Characters that a question may have.
        """
        super().__init__(
            f"the question has {got_chars:,} characters, the limit is {limit_chars:,}",
            hint="ask in fewer words, or raise prompt.max_question_chars",
        )
        self.got_chars = got_chars
        self.limit_chars = limit_chars


class ModelError(LLMAppError):
    """A model cannot be called."""

    code = "model_failed"


class UnknownModelError(ModelError):
    """No provider of that name, or no model of that name."""

    code = "unknown_model"


class ModelAuthError(ModelError):
    """The provider refused the key, or there is none."""

    code = "model_auth_failed"


class ModelRateLimitedError(ModelError):
    """The provider takes no more requests for now."""

    code = "model_rate_limited"
    retryable = True


class ModelTimeoutError(ModelError):
    """No answer in time."""

    code = "model_timeout"
    retryable = True


class ModelUnavailableError(ModelError):
    """The provider cannot be reached, or failed."""

    code = "model_unavailable"
    retryable = True


class CostError(LLMAppError):
    """Money stands in the way."""

    code = "cost_failed"


class BudgetExceededError(CostError):
    """The call could cost more than is left of a budget."""

    code = "budget_exceeded"

    def __init__(self, *, scope: str, limit_usd: float, committed_usd: float, requested_usd: float) -> None:
        """Say whose budget it is and what is missing.

        Args:
            scope: Budget and window, e.g. ``day:2026-11-22``.
            limit_usd: The limit. USD.
            committed_usd: Spent and held so far. USD.
            requested_usd: What the call could cost at worst. USD.
        """
        super().__init__(
            f"budget {scope}: the call could cost ${requested_usd:.6f}, "
            f"${max(0.0, limit_usd - committed_usd):.6f} of ${limit_usd:.6f} is left",
            hint="wait for the next window, raise the budget in llmapp.toml, or choose a cheaper model",
        )
        self.scope = scope
        self.limit_usd = limit_usd
        self.committed_usd = committed_usd
        self.requested_usd = requested_usd


class UnknownPriceError(CostError):
    """No price is known for a model; it is never taken as zero."""

    code = "unknown_price"

    def __init__(self, model: str, part: Literal["price", "output price"] = "price") -> None:
        """Name the model and the way to declare a price.

        Args:
            model: The model that has no price.
            part: What is not known: any price, or only that of its output.
        """
        super().__init__(
            f"no {part} is known for {model}",
            hint=f'declare input_usd_per_million and output_usd_per_million in llmapp.toml under [prices."{model}"]',
        )
        self.model = model


class RequestError(LLMAppError):
    """A client sent what cannot be served."""

    code = "request_failed"


class InvalidRequestError(RequestError):
    """The request is not of the documented shape."""

    code = "invalid_request"


class RequestTooLargeError(RequestError):
    """The request has more bytes than the route takes."""

    code = "request_too_large"


class OverloadedError(RequestError):
    """As many questions are being answered as the server takes at once."""

    code = "overloaded"
    retryable = True


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first; each link once.

    Only ``raise ... from`` counts. What merely was being handled at the time (``__context__``) may be unrelated: in a
    fallback it is the failure of another call.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__
