"""Every error that a correct program can meet, as one tree.

    LLMAppError                         code · retryable · hint
    ├── ConfigError                     the operator must change a setting
    │   ├── UnknownSettingError         a key that no setting has; names the nearest one
    │   ├── UnknownPluginError          no entry point of that name
    │   └── MissingDependencyError      an extra is not installed; names it
    ├── ConnectorError                  a source cannot be read
    │   ├── SourceNotFoundError         the path or address is not there
    │   ├── SourceEmptyError            there is nothing in it; what was taken in before is kept
    │   ├── ConnectorAuthError          it refused the credentials
    │   ├── SourceUnavailableError      it does not answer, or not now (retryable)
    │   ├── AddressRefusedError         an address leads into a private network
    │   ├── CursorRejectedError         it no longer takes the cursor; it is read from the start
    │   ├── MassDeletionError           a run would delete too much of it; nothing was deleted
    │   ├── TooManyFailuresError        too many of its documents failed; what was good is committed
    │   └── SourceMovedError            it is no longer what a manifest says
    ├── IngestionError                  one document cannot be taken in (it is quarantined)
    │   ├── UnsupportedMediaTypeError   no parser reads it
    │   ├── ParseError                  the parser refused it, or it holds no text
    │   ├── ParserCrashedError          the parser died, hung or took too much memory
    │   ├── InvalidDocumentError        its facts or its access list cannot be taken
    │   └── LimitExceededError          it is larger than a limit allows
    ├── CatalogError                    the database cannot be used
    │   ├── CatalogVersionError         written by a newer llmapp
    │   ├── DocumentNotFoundError       no document of that name
    │   └── LockedError                 another process holds the lock (retryable)
    ├── RetrievalError                  a search cannot be made
    │   ├── NothingIngestedError        the catalog has never held a document
    │   ├── EmbedderError               the model file is missing, altered, or failed
    │   │   └── EmbedderUnavailableError   its server does not answer, or not now (retryable)
    │   ├── EmbedderMismatchError       the catalog was embedded by another embedder
    │   ├── IndexUnavailableError       the vector index cannot be read; exact search still serves
    │   │   └── DimensionMismatchError  it holds vectors of another length
    │   ├── FilterError                 a metadata filter is none
    │   │   └── UnknownFieldError       it names a field that no document has; names the nearest one
    │   └── RerankerError               a reranker failed; a search goes on without it
    ├── PromptError                     a prompt cannot be made
    │   ├── TokenBudgetExceededError    not even the smallest prompt fits
    │   ├── QuestionTooLongError        the question alone is over its limit
    │   ├── TemplateError               a prompt template is missing or wrong; names file and line
    │   ├── ExampleError                a worked example is wrong, or there already; names file and line
    │   ├── NothingToSummarizeError     no document to summarize
    │   └── NotesTooLongError           a summary would not come to an end
    ├── ModelError                      a model cannot be called
    │   ├── UnknownModelError           no provider of that name
    │   ├── ModelFileError              its config.json, safetensors or GGUF file cannot be read
    │   ├── ModelAuthError              the provider refused the key
    │   ├── ModelRateLimitedError       too many requests (retryable)
    │   ├── ModelTimeoutError           no answer in time (retryable)
    │   └── ModelUnavailableError       the provider cannot be reached (retryable)
    ├── CostError                       money
    │   ├── BudgetExceededError         the call could cost more than is left
    │   ├── KeyReusedError              an idempotency key was given for another call
    │   └── UnknownPriceError           no price is known; never taken as zero
    ├── EvaluationError                 an evaluation cannot be made
    │   ├── DatasetError                questions, judgements or corpus cannot be used; names file and line
    │   └── BaselineMismatchError       a stored baseline is of other documents or other questions
    └── RequestError                    what a client sent
        ├── InvalidRequestError         not the documented shape
        ├── RequestTooLargeError        more bytes than the route takes
        └── OverloadedError             as many questions at once as the server takes (retryable)

A layer raises only its own family. Data is in attributes and the message is built from them. HTTP status and exit code
live in one table each: `llmapp.server.errors` and `llmapp.cli.errors`. A programming mistake stays a built-in error.
"""

from __future__ import annotations

from llmapp.errors.costs import BudgetExceededError, CostError, KeyReusedError, UnknownPriceError
from llmapp.errors.documents import (
    AddressRefusedError,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    IngestionError,
    InvalidDocumentError,
    LimitExceededError,
    MassDeletionError,
    ParseError,
    ParserCrashedError,
    SourceEmptyError,
    SourceMovedError,
    SourceNotFoundError,
    SourceUnavailableError,
    TooManyFailuresError,
    UnsupportedMediaTypeError,
)
from llmapp.errors.prompts import (
    ExampleError,
    NotesTooLongError,
    NothingToSummarizeError,
    PromptError,
    QuestionTooLongError,
    TemplateError,
    TokenBudgetExceededError,
)
from llmapp.errors.root import LLMAppError

__all__ = [  # what stands in modules of its own and is imported from here; so is all below
    "AddressRefusedError",
    "BudgetExceededError",
    "ConnectorAuthError",
    "ConnectorError",
    "CostError",
    "CursorRejectedError",
    "ExampleError",
    "IngestionError",
    "InvalidDocumentError",
    "KeyReusedError",
    "LLMAppError",
    "LimitExceededError",
    "MassDeletionError",
    "NotesTooLongError",
    "NothingToSummarizeError",
    "ParseError",
    "ParserCrashedError",
    "PromptError",
    "QuestionTooLongError",
    "SourceEmptyError",
    "SourceMovedError",
    "SourceNotFoundError",
    "SourceUnavailableError",
    "TemplateError",
    "TokenBudgetExceededError",
    "TooManyFailuresError",
    "UnknownPriceError",
    "UnsupportedMediaTypeError",
]


class ConfigError(LLMAppError, code="config_invalid"):
    """The operator must change a setting."""


class UnknownSettingError(ConfigError, code="unknown_setting"):
    """A key that no setting has."""


class UnknownPluginError(ConfigError, code="unknown_plugin"):
    """No entry point of that name is registered."""


class MissingDependencyError(ConfigError, code="missing_dependency"):
    """A part needs a package that is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        """Name the package and the extra that brings it.

        Args:
            package: Import name that was not found.
            extra: Extra of llmapp that installs it.
        """
        super().__init__(f"{package} is not installed", hint=f"pip install 'llmapp[{extra}]'")
        self.package = package
        self.extra = extra


class CatalogError(LLMAppError, code="catalog_failed"):
    """The database cannot be used."""


class CatalogVersionError(CatalogError, code="catalog_too_new"):
    """The database was written by a newer llmapp."""


class DocumentNotFoundError(CatalogError, code="document_not_found"):
    """No document of that name is in the catalog."""


class LockedError(CatalogError, code="locked", retryable=True):
    """Another process holds the lock of the index or of ingestion."""


class RetrievalError(LLMAppError, code="retrieval_failed"):
    """A search cannot be made."""


class NothingIngestedError(RetrievalError, code="nothing_ingested"):
    """The catalog has never held a document: an empty answer would be taken for a fact about documents."""


class EmbedderError(RetrievalError, code="embedder_failed"):
    """The embedding model is missing, altered, or failed."""


class EmbedderUnavailableError(EmbedderError, code="embedder_unavailable", retryable=True):
    """The server of the embedder does not answer, or takes no more requests for now."""

    def __init__(self, message: str, *, hint: str = "try again later", retry_after_s: float | None = None) -> None:
        """Keep what went wrong, and when to try again.

        Args:
            message: What went wrong, one line.
            hint: What to do next, one sentence.
            retry_after_s: Seconds after which the server asks to be tried again; None when it did not say.
        """
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class EmbedderMismatchError(RetrievalError, code="embedder_mismatch"):
    """The catalog holds vectors of another embedder."""

    def __init__(self, *, stored: str, configured: str) -> None:
        """Name both embedders.

        Args:
            stored: Identity of the embedder that made the stored vectors.
            configured: Identity of the embedder in the settings.
        """
        super().__init__(
            f"the catalog was embedded with {stored}, the settings name {configured}",
            hint="run llmapp ingest to embed all again (llmapp ingest --dry-run says what it costs), or restore the embedder",
        )
        self.stored = stored
        self.configured = configured


class IndexUnavailableError(RetrievalError, code="index_unavailable"):
    """The vector index cannot be read; exact search still serves."""


class DimensionMismatchError(IndexUnavailableError, code="dimension_mismatch"):
    """The vector index holds vectors of another length, those of another embedder."""

    def __init__(self, *, stored: int, given: int) -> None:
        """Name the length of the vectors in the index, and of one that was to be put or searched for."""
        super().__init__(
            f"the vector index holds vectors of length {stored}, not {given}",
            hint="run llmapp index rebuild; it needs no embedding, and exact search serves meanwhile",
        )
        self.stored = stored
        self.given = given


class FilterError(RetrievalError, code="filter_invalid"):
    """A metadata filter cannot be read, or is too large."""

    def __init__(self, message: str, *, hint: str = "", text: str = "", position: int | None = None) -> None:
        """Say what is wrong with it, and where.

        Args:
            message: What is wrong; nothing of the filter is in it but names of fields, for a client may have sent it.
            hint: What to do next, one sentence.
            text: The filter as it was written; empty where it was not written as text.
            position: Index of the character of `text` at which it goes wrong; None where there is no such place.
        """
        super().__init__(message, hint=hint)
        self.text = text
        self.position = position


class UnknownFieldError(FilterError, code="unknown_field"):
    """A filter names a field that no document has: an empty result would be taken for a fact about documents."""

    def __init__(self, field: str, *, nearest: str | None) -> None:
        """Name the field, and the one that may be meant.

        Args:
            field: The field of the filter.
            nearest: The known field whose name is most like it; None when none is like it.
        """
        meant = f"did you mean {nearest}? " if nearest else ""
        super().__init__(f"no document has a field {field}", hint=f"{meant}llmapp fields lists those that there are")
        self.field = field
        self.nearest = nearest


class RerankerError(RetrievalError, code="reranker_failed"):
    """A reranker failed, or gave what is no order of its hits; a search goes on without it."""

    def __init__(self, message: str, *, hint: str = "", status_code: int | None = None) -> None:
        """Say what went wrong.

        Args:
            message: What went wrong, one line.
            hint: What to do next, one sentence.
            status_code: HTTP status with which a provider refused; None where none was given.
        """
        super().__init__(message, hint=hint)
        self.status_code = status_code


class ModelError(LLMAppError, code="model_failed"):
    """A model cannot be called."""


class UnknownModelError(ModelError, code="unknown_model"):
    """No provider of that name, or no model of that name."""


class ModelFileError(ModelError, code="model_file_invalid"):
    """A file of a model cannot be read, or does not say what is asked of it."""


class ModelAuthError(ModelError, code="model_auth_failed"):
    """The provider refused the key, or there is none."""


class ModelRateLimitedError(ModelError, code="model_rate_limited", retryable=True):
    """The provider takes no more requests for now."""


class ModelTimeoutError(ModelError, code="model_timeout", retryable=True):
    """No answer in time."""


class ModelUnavailableError(ModelError, code="model_unavailable", retryable=True):
    """The provider cannot be reached, or failed."""


class EvaluationError(LLMAppError, code="evaluation_failed"):
    """An evaluation cannot be made."""


class DatasetError(EvaluationError, code="dataset_invalid"):
    """Questions, judgements or corpus of a data set cannot be used."""


class BaselineMismatchError(EvaluationError, code="baseline_mismatch"):
    """A stored baseline cannot be compared with: its documents or its questions are other ones."""


class RequestError(LLMAppError, code="request_failed"):
    """A client sent what cannot be served."""


class InvalidRequestError(RequestError, code="invalid_request"):
    """The request is not of the documented shape."""


class RequestTooLargeError(RequestError, code="request_too_large"):
    """The request has more bytes than the route takes."""


class OverloadedError(RequestError, code="overloaded", retryable=True):
    """As many questions are being answered as the server takes at once."""
