"""The composition root: the only place that chooses concrete parts.

Every part is made when it is first needed, so a search loads no model and a new process answers fast. A part can be
replaced by an argument; the tests build the same application with fakes.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import fields
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from llmapp.bootstrap.stores import open_catalog
from llmapp.config import Settings, with_secrets

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from llmapp.app.rag import RagPipeline
    from llmapp.costs.guard import GuardedChatModel
    from llmapp.costs.ledger import Ledger
    from llmapp.costs.price_book import PriceBook
    from llmapp.costs.prices import Price
    from llmapp.ingestion.ingestor import Ingestor
    from llmapp.ingestion.parsing import ProcessParser
    from llmapp.models.catalog.limits import ModelFacts
    from llmapp.prompting.assembly import Assembler
    from llmapp.prompting.examples import Examples
    from llmapp.prompting.templates import TemplateLibrary
    from llmapp.protocols import Embedder, TokenCounter, VectorIndex
    from llmapp.retrieval.dense import DenseRetriever
    from llmapp.retrieval.hybrid import HybridRetriever
    from llmapp.retrieval.lexical import LexicalRetriever
    from llmapp.retrieval.moving import IndexMove
    from llmapp.retrieval.projection import IndexProjection
    from llmapp.retrieval.serving import ServingIndex
    from llmapp.sources import SourceBook


_T = TypeVar("_T")


class part(cached_property[_T]):  # noqa: N801 - used as a decorator
    """A part that is made when it is first asked for, once, also when several threads ask."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> _T: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | _T:
        """The part; the lock is taken only until it is made."""
        if not isinstance(instance, Parts):
            return self
        with instance._making:  # noqa: SLF001 - the lock is for this
            return super().__get__(instance, owner)


class Parts:
    """The parts of an application, each made when it is first needed. Use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        model: BaseChatModel | None = None,
        embedder: Embedder | None = None,
        index: VectorIndex | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Open the state folder.

        Args:
            settings: From `load_settings`.
            model: Takes the place of the chat model that the settings name; guarded and priced by its own name.
            embedder: Takes the place of the embedder that the settings name; priced by its identity.
            index: Takes the place of the store of its name, or of the first one where the catalog names none.
            ledger: Another application's, which pays for this one and closes it; None keeps books of its own.

        Raises:
            CatalogError: The catalog cannot be opened.
            ConfigError: The catalog is in PostgreSQL, and the store of vectors is one of this machine; or the vectors are in
                another store than the given one.
        """
        self.settings = settings
        self._given_model = model
        self._given_embedder = embedder
        self._given_index = index
        self._given_ledger = ledger
        self._making = threading.RLock()
        self.closing = ExitStack()
        """Closes what belongs to no part; used while parts are made."""
        with suppress(OSError):  # the catalog says what is wrong with the folder
            settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds the text of all documents
        self.catalog = open_catalog(settings, index)
        self._first_store = settings.index.store if index is None else index.name
        self.index_lock = self.catalog.index_lock()
        self.move_lock = self.catalog.move_lock()

    def close(self) -> None:
        """Close files and end worker processes."""
        made = self.__dict__
        for name in ("retriever", "parser", "index", "ledger"):
            if name in made and made[name] is not self._given_ledger:
                made[name].close()
        self.closing.close()
        self.catalog.close()
        while self.index_lock.held:
            self.index_lock.release()

    def beside(self, settings: Settings) -> Self:
        """Another application with these settings, the same given model and embedder, and the books of this one.

        It is closed first. Where it has the same state folder, only one of the two holds the vector index at a time.
        """
        return type(self)(settings, model=self._given_model, embedder=self._given_embedder, ledger=self.ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @part
    def embedder(self) -> Embedder:
        """The embedder, guarded; one that somebody else serves is asked in batches, each a call of its own to the guard."""
        from llmapp.costs.embedding import GuardedEmbedder
        from llmapp.retrieval.embedders.choice import is_remote
        from llmapp.retrieval.embedders.patient import PatientEmbedder

        inner = self._given_embedder or self._chosen_embedder()
        guarded = GuardedEmbedder(inner, ledger=self.ledger, price=self._embedding_price(inner))
        if self._given_embedder is not None or not is_remote(self.settings.embedder):
            return guarded
        given = self.settings.embedder_options
        return PatientEmbedder(guarded, batch_texts=given.batch_texts, batch_tokens=given.batch_tokens)

    def embedding_cost_usd(self, tokens: int) -> float:
        """What embedding so many tokens costs at most. USD.

        Raises:
            UnknownPriceError: The embedder has no price.
        """
        from llmapp.costs.records import NANO_PER_USD

        price = self._embedding_price(self.embedder)
        return price.bound_nano_usd(input_tokens=tokens, output_tokens=0) / NANO_PER_USD

    def _embedding_price(self, embedder: Embedder) -> Price:
        return self.prices.price(self.settings.embedder if self._given_embedder is None else embedder.identity)

    def _chosen_embedder(self) -> Embedder:
        from llmapp.retrieval.embedders.choice import build_embedder

        given = self.settings.embedder_options
        options = given.model_copy(update={"settings": with_secrets(given.settings)})
        embedder = build_embedder(
            self.settings.embedder,
            options,
            root=self.settings.root,
            api_key=self.settings.embedder_api_key,
            cache=self.settings.state / "models",
        )
        if close := getattr(embedder, "close", None):
            self.closing.callback(close)
        return embedder

    @part
    def model_name(self) -> str:
        """Name of the chat model, by which it is priced and counted: of the settings, or the given model's own."""
        if self._given_model is None:
            return self.settings.model
        own = self._given_model._get_ls_params()  # noqa: SLF001 - the only place where langchain's models tell their name
        names = (own.get("ls_provider"), own.get("ls_model_name"))
        return ":".join(name for name in names if name)

    @part
    def model_facts(self) -> ModelFacts:
        """What is known of the chat model by its name."""
        from llmapp.bootstrap.models import own_facts
        from llmapp.models.catalog.limits import model_facts

        return own_facts(self.settings, self.model_name).limits(model_facts(self.model_name))

    @part
    def max_output_tokens(self) -> int:
        """Most tokens of an answer: of the settings, or the model's own where it gives fewer."""
        return min(self.settings.model_options.max_output_tokens, self.model_facts.max_output_tokens or sys.maxsize)

    @part
    def model(self) -> GuardedChatModel:
        """The chat model, guarded."""
        from llmapp.bootstrap.models import chat_model
        from llmapp.costs.guard import GuardedChatModel
        from llmapp.models.backends import limit_output
        from llmapp.models.errors import translate_model_error

        return GuardedChatModel(
            inner=self._given_model or chat_model(self),
            model=self.model_name,
            ledger=self.ledger,
            prices=self.prices,
            counter=self.counter,
            max_output_tokens=self.max_output_tokens,
            least_output_tokens=self.settings.budgets.least_output_tokens,
            translate=partial(translate_model_error, model=self.model_name),
            limit_output=limit_output,
        )

    @part
    def ledger(self) -> Ledger:
        """The ledger and its budgets."""
        from llmapp.costs.ledger import Ledger

        if self._given_ledger is not None:
            return self._given_ledger
        # A hold must outlive the call it is for.
        lease_s = 2 * self.settings.model_options.timeout_s + 60
        url, file = self.settings.catalog_url, self.settings.state / "ledger.db"
        limits = self.settings.budgets.all_limits()
        if url is None:
            return Ledger(file, limits, lease_s=lease_s)
        return Ledger(url.get_secret_value(), limits, lease_s=lease_s, former=file)

    @part
    def prices(self) -> PriceBook:
        """The prices: the user's own first, then the bundled ones."""
        from llmapp.bootstrap.models import price_book

        return price_book(self.settings)

    @part
    def counter(self) -> TokenCounter:
        """The token counter of the chat model: of its own files, of its provider, or an estimate that learns."""
        from llmapp.bootstrap.models import token_counter

        return token_counter(self)

    @part
    def assembler(self) -> Assembler:
        """The prompt assembler."""
        from llmapp.bootstrap.prompting import prompt_assembler

        return prompt_assembler(self)

    @part
    def examples(self) -> Examples:
        """The worked examples of the project's file; it is read once."""
        from llmapp.bootstrap.prompting import project_examples

        return project_examples(self)

    @part
    def templates(self) -> TemplateLibrary:
        """The prompt templates: those of the project's folder ``prompts/``, and the built-in ones."""
        from llmapp.prompting.templates import TemplateLibrary

        return TemplateLibrary(self.settings.prompts)

    @part
    def index(self) -> ServingIndex:
        """The vector index, in the store that serves: at first the one that the settings name."""
        from llmapp.bootstrap.stores import open_store
        from llmapp.retrieval.serving import ServingIndex

        given = self._given_index
        return ServingIndex(
            self.catalog,
            lambda name: (
                given if given is not None and given.name == name else open_store(self.settings, self.catalog, name)
            ),
            initial=self._first_store,
            lock=self.index_lock,
            move_lock=self.move_lock,
        )

    def move(self, store: str) -> IndexMove:
        """A move of the vectors to another store.

        Raises:
            ConfigError: There is no such store, or the settings do not say where it is.
        """
        from llmapp.retrieval.moving import IndexMove

        return IndexMove(self.catalog, self.index, self.move_lock, self.index_lock, store=store)

    @part
    def projection(self) -> IndexProjection:
        """Carries the catalog into the vector index."""
        from llmapp.retrieval.projection import IndexProjection

        return IndexProjection(self.catalog, self.index, self.index_lock)

    @part
    def dense(self) -> DenseRetriever:
        """Search by meaning."""
        from llmapp.retrieval.dense import DenseRetriever

        return DenseRetriever(
            self.catalog,
            self.embedder,
            index=None if self.index.name == "exact" else self.index,
            exact_up_to=self.settings.retrieval.exact_up_to,
        )

    @part
    def retriever(self) -> HybridRetriever:
        """Search by meaning and by words, fused."""
        from llmapp.bootstrap.ranking import stages
        from llmapp.retrieval.fusion import convex, reciprocal_rank
        from llmapp.retrieval.hybrid import HybridRetriever

        given = self.settings.retrieval
        by_score = partial(convex, weights=(given.dense_weight, 1 - given.dense_weight))
        return HybridRetriever(
            self.dense,
            self.lexical,
            fuse=by_score if given.fusion == "convex" else reciprocal_rank,
            candidates=given.candidates,
            moments=self.catalog,
            stages=list(stages(self)),
        )

    @part
    def lexical(self) -> LexicalRetriever:
        """Search by words."""
        from llmapp.catalog.bm25 import Bm25
        from llmapp.retrieval.lexical import LexicalRetriever

        given = self.settings.retrieval
        return LexicalRetriever(self.catalog, parameters=Bm25(given.bm25_k1, given.bm25_b))

    @part
    def parser(self) -> ProcessParser:
        """The parser with its worker processes."""
        from llmapp.ingestion.parsing import ProcessParser
        from llmapp.ingestion.parsing.limits import Limits

        given = self.settings.ingestion
        limits = Limits(**given.model_dump(include={each.name for each in fields(Limits)}))
        return ProcessParser(workers=given.workers, limits=limits, passwords=given.passwords)

    @part
    def ingestor(self) -> Ingestor:
        """The host of the connectors."""
        from llmapp.ingestion.chunking import StructureChunker
        from llmapp.ingestion.deletions import Brake
        from llmapp.ingestion.embedding_text import chunk_tokens
        from llmapp.ingestion.ingestor import IngestLimits, Ingestor
        from llmapp.ingestion.pipeline import Bounds
        from llmapp.ingestion.upgrading import FailureLimits

        given = self.settings.ingestion
        return Ingestor(
            self.catalog,
            self.parser,
            StructureChunker(self.embedder.tokenizer, chunk_tokens(self.embedder)),
            self.embedder,
            bounds=Bounds(workers=given.workers, batch_chunks=given.batch_chunks),
            limits=IngestLimits(
                max_bytes=given.max_bytes,
                max_chunks=given.max_chunks,
                brake=Brake(given.max_deleted_share, given.max_deleted),
                failures=FailureLimits(given.max_failed_share, given.max_failed),
            ),
            setup=given.setup,
        )

    @part
    def source_book(self) -> SourceBook:
        """The sources of documents."""
        from llmapp.sources import SourceBook

        return SourceBook(self.settings, earlier=self.catalog.sources)

    @part
    def pipeline(self) -> RagPipeline:
        """The question path."""
        return self.pipeline_with(self.assembler)

    def pipeline_with(self, assembler: Assembler) -> RagPipeline:
        """The question path with another assembler."""
        from llmapp.app.rag import RagPipeline
        from llmapp.bootstrap.ranking import query_writer

        return RagPipeline(
            self.retriever,
            assembler,
            self.model,
            model_name=self.model_name,
            top_k=self.settings.retrieval.top_k,
            writer=query_writer(self),
            learn=getattr(self.counter, "learn", None),
        )
