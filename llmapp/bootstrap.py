"""The composition root: the only place that chooses concrete parts.

Every part is made when it is first needed, so a search loads no model and a new process answers fast. A part can be
replaced by an argument; the tests build the same application with fakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.config import Settings
from llmapp.errors import ConfigError, SourceNotFoundError
from llmapp.types import PUBLIC

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import JsonValue

    from llmapp.app.rag import RagPipeline
    from llmapp.connector import Connector
    from llmapp.costs.embedding import GuardedEmbedder
    from llmapp.costs.guard import GuardedChatModel
    from llmapp.costs.ledger import Ledger
    from llmapp.costs.prices import PriceBook
    from llmapp.ingestion.ingestor import Ingestor
    from llmapp.ingestion.parsing import ProcessParser
    from llmapp.prompting.assembly import Assembler
    from llmapp.protocols import Embedder, TokenCounter, VectorIndex
    from llmapp.retrieval.dense import DenseRetriever
    from llmapp.retrieval.hybrid import HybridRetriever
    from llmapp.retrieval.projection import IndexProjection


@dataclass(frozen=True, slots=True)
class Source:
    """A connector that is ready to be read, with the access list for documents that bring none."""

    name: str
    connector: Connector
    acl: tuple[str, ...]


class Parts:
    """The parts of an application, each made when it is first needed. Use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        model: BaseChatModel | None = None,
        embedder: Embedder | None = None,
        index: VectorIndex | None = None,
    ) -> None:
        """Open the state folder.

        Args:
            settings: From `load_settings`.
            model: Takes the place of the chat model that the settings name; it is guarded like any other.
            embedder: Takes the place of the default embedder.
            index: Takes the place of Chroma.

        Raises:
            CatalogError: The catalog cannot be opened.
        """
        self.settings = settings
        self._given_model = model
        self._given_embedder = embedder
        self._given_index = index
        self.catalog = Catalog(settings.state / "catalog.db")
        self.index_lock = FileLock(settings.state / "index.lock", purpose="the index")

    def close(self) -> None:
        """Close files and end worker processes."""
        made = self.__dict__
        for name in ("parser", "index", "ledger"):
            if name in made:
                made[name].close()
        self.catalog.close()
        while self.index_lock.held:
            self.index_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @cached_property
    def embedder(self) -> GuardedEmbedder:
        """The embedder, guarded."""
        from llmapp.costs.embedding import GuardedEmbedder
        from llmapp.costs.prices import free_price
        from llmapp.retrieval.minilm import MiniLMEmbedder

        inner = self._given_embedder or MiniLMEmbedder()
        return GuardedEmbedder(inner, ledger=self.ledger, price=free_price(inner.identity))

    @cached_property
    def model(self) -> GuardedChatModel:
        """The chat model, guarded."""
        from llmapp.costs.guard import GuardedChatModel
        from llmapp.models.backends import limit_output
        from llmapp.models.errors import translate_model_error

        return GuardedChatModel(
            inner=self._given_model or self._chat_model(),
            model=self.settings.model,
            ledger=self.ledger,
            prices=self.prices,
            counter=self.counter,
            max_output_tokens=self.settings.model_options.max_output_tokens,
            translate=partial(translate_model_error, model=self.settings.model),
            limit_output=limit_output,
        )

    def _chat_model(self) -> BaseChatModel:
        from llmapp.models.backends import build_chat_model

        options = self.settings.model_options
        return build_chat_model(
            self.settings.model,
            max_output_tokens=options.max_output_tokens,
            base_url=options.base_url,
            api_key=self.settings.api_key,
            timeout_s=options.timeout_s,
            embedder=self.embedder,
            count_tokens=self.counter.count,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger and its budgets."""
        from llmapp.costs.ledger import Ledger
        from llmapp.costs.records import NANO_PER_USD

        limit = self.settings.budgets.day_usd
        budgets = {"day": None if limit is None else int(limit * NANO_PER_USD)}
        # A hold must outlive the call it is for.
        lease_s = 2 * self.settings.model_options.timeout_s + 60
        return Ledger(self.settings.state / "ledger.db", budgets, lease_s=lease_s)

    @cached_property
    def prices(self) -> PriceBook:
        """The prices: the user's own first, then the bundled ones."""
        from llmapp.costs.prices import PriceBook, declared_price

        return PriceBook(
            {
                name: declared_price(
                    name,
                    input_usd_per_million=own.input_usd_per_million,
                    output_usd_per_million=own.output_usd_per_million,
                )
                for name, own in self.settings.prices.items()
            }
        )

    @cached_property
    def counter(self) -> TokenCounter:
        """The token counter of the chat model."""
        from llmapp.prompting.counting import HuggingFaceCounter, counter_for

        own = self.settings.model_options.tokenizer
        return counter_for(self.settings.model) if own is None else HuggingFaceCounter(self.settings.root / own)

    @cached_property
    def assembler(self) -> Assembler:
        """The prompt assembler."""
        from llmapp.prompting.assembly import Assembler

        prompt = self.settings.prompt
        return Assembler(
            self.counter,
            budget_tokens=prompt.budget_tokens,
            reserve_output_tokens=self.settings.model_options.max_output_tokens,
            context_window_tokens=prompt.context_window_tokens,
            max_question_chars=prompt.max_question_chars,
        )

    @cached_property
    def index(self) -> VectorIndex:
        """The vector index."""
        from llmapp.retrieval.chroma import ChromaIndex

        return self._given_index or ChromaIndex(self.settings.state / "chroma")

    @cached_property
    def projection(self) -> IndexProjection:
        """Carries the catalog into the vector index."""
        from llmapp.retrieval.projection import IndexProjection

        return IndexProjection(self.catalog, self.index, self.index_lock)

    @cached_property
    def dense(self) -> DenseRetriever:
        """Search by meaning."""
        from llmapp.retrieval.dense import DenseRetriever

        return DenseRetriever(
            self.catalog,
            self.embedder,
            index=self.index,
            lock=self.index_lock,
            exact_up_to=self.settings.retrieval.exact_up_to,
        )

    @cached_property
    def retriever(self) -> HybridRetriever:
        """Search by meaning and by words, fused."""
        from llmapp.retrieval.hybrid import HybridRetriever
        from llmapp.retrieval.lexical import LexicalRetriever

        return HybridRetriever(self.dense, LexicalRetriever(self.catalog), candidates=self.settings.retrieval.candidates)

    @cached_property
    def parser(self) -> ProcessParser:
        """The parser with its worker processes."""
        from llmapp.ingestion.parsing import ProcessParser

        return ProcessParser()

    @cached_property
    def ingestor(self) -> Ingestor:
        """The host of the connectors."""
        from llmapp.ingestion.chunking import StructureChunker
        from llmapp.ingestion.embedding_text import chunk_tokens
        from llmapp.ingestion.ingestor import Ingestor

        chunker = StructureChunker(self.embedder.tokenizer, chunk_tokens(self.embedder))
        return Ingestor(self.catalog, self.parser, chunker, self.embedder)

    @cached_property
    def pipeline(self) -> RagPipeline:
        """The question path."""
        from llmapp.app.rag import RagPipeline

        return RagPipeline(
            self.retriever, self.assembler, self.model, model_name=self.settings.model, top_k=self.settings.retrieval.top_k
        )

    def sources(self) -> list[Source]:
        """The sources of the settings.

        Raises:
            ConfigError: There is none, or one's settings are wrong.
        """
        if not self.settings.sources:
            raise ConfigError("nothing to ingest", hint="name a PATH, or add [[sources]] to llmapp.toml")
        return [
            Source(given.name, self._connector(given.connector, dict(given.settings)), given.acl)
            for given in self.settings.sources
        ]

    def _connector(self, name: str, settings: dict[str, JsonValue]) -> Connector:
        from llmapp.ingestion.registry import load_connector

        path = settings.get("path")
        if isinstance(path, str):
            settings["path"] = str(self.settings.root / path)
        if name == "files":
            settings.setdefault("relative_to", str(self.settings.root))
        return load_connector(name, settings)

    def sources_of(self, paths: Sequence[Path | str]) -> list[Source]:
        """The sources that hold these files or folders; a path that no source holds becomes one of its own.

        Raises:
            SourceNotFoundError: A path is not there.
        """
        found: dict[str, Source] = {}
        for given in paths:
            path = Path(given)
            if not path.exists():
                raise SourceNotFoundError(f"{given} is not there", hint="check the path")
            source = self._source_around(path.resolve())
            found[source.name] = source
        return list(found.values())

    def _source_around(self, path: Path) -> Source:
        """The source of the settings, or the path of an earlier run, that holds `path`; else a new one."""
        for given in self.settings.sources:
            root = given.settings.get("path")
            if (
                given.connector == "files"
                and isinstance(root, str)
                and path.is_relative_to((self.settings.root / root).resolve())
            ):
                return Source(given.name, self._connector(given.connector, dict(given.settings)), given.acl)
        around = (Path(name) for name in self.catalog.sources() if path.is_relative_to(name))
        root_path = min(around, key=lambda folder: len(folder.parts), default=path)
        return Source(str(root_path), self._connector("files", {"path": str(root_path)}), (PUBLIC,))
