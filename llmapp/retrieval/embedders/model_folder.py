"""A sentence-transformers model as it lies on disk, or on the hub: all that can be known of it without torch.

So a dry run, a mismatch and `llmapp status` take a moment instead of ten seconds. Weights are safetensors only: the other
format is unpickled. Knows files; runs no model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmapp.errors import ConfigError, EmbedderError, MissingDependencyError
from llmapp.retrieval.embedders.tokenizers import FileTokenizer

EXTRA = "sentence-transformers"

_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_UNWANTED = ["onnx/*", "openvino/*"]
_POSITIONS_BEFORE_TEXT = {"camembert": 2, "mpnet": 2, "roberta": 2, "xlm-roberta": 2}
"""Position numbers that no token takes. Source: transformers, ``create_position_ids_from_input_ids``: padding_idx + 1."""
_UNLIMITED = 1_000_000
"""A longer limit is none: tokenizers write 10^30 where nobody has set one."""


@dataclass(frozen=True)
class ModelFolder:
    """The files of one model."""

    path: Path
    name: str
    """As it is called on the hub, or the name of the folder."""
    commit: str | None = None
    """Of the hub; None for a folder of the operator's own."""

    @cached_property
    def revision(self) -> str:
        """The commit, or a hash of everything that decides about a vector."""
        if self.commit:
            return self.commit[:12]
        found = hashlib.sha256()
        for file in sorted(file for file in self.path.rglob("*") if file.suffix in {".json", ".safetensors", ".txt"}):
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            found.update(f"{file.relative_to(self.path).as_posix()}\0{digest}\0".encode())
        return found.hexdigest()[:12]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Classes of its modules in order, e.g. ``("Transformer", "Pooling", "Normalize")``."""
        return tuple(str(module["type"]).rsplit(".", 1)[-1] for module in self._modules)

    @property
    def model_type(self) -> str:
        """Architecture of its transformer, e.g. ``bert``."""
        return str(self._config.get("model_type"))

    @property
    def heads(self) -> int:
        """Attention heads of its transformer; 0 when the files do not tell."""
        return int(self._config.get("num_attention_heads") or 0)

    @property
    def hidden(self) -> int:
        """Width of its transformer; 0 when the files do not tell."""
        return int(self._config.get("hidden_size") or 0)

    @cached_property
    def pools_prompt(self) -> bool:
        """Whether the tokens of a prompt are part of the vector, as those of the text are."""
        return all(self._json(f"{module['path']}/config.json").get("include_prompt", True) for module in self._modules)

    @cached_property
    def dim(self) -> int:
        """Length of a vector.

        Raises:
            EmbedderError: The files do not tell.
        """
        dim = self._config.get("hidden_size") or self._config.get("d_model") or self._config.get("dim")
        for kind, module in zip(self.kinds, self._modules, strict=True):
            facts = self._json(f"{module['path']}/config.json")
            if kind == "Pooling":
                one = facts.get("embedding_dimension") or facts.get("word_embedding_dimension") or dim
                dim = one * _modes(facts) if one else None
            elif kind == "Dense":
                dim = facts.get("out_features", dim)
        if not isinstance(dim, int):
            raise EmbedderError(f"{self.name} does not say how long its vectors are", hint="set embedder_options.dimensions")
        return dim

    @cached_property
    def max_tokens(self) -> int | None:
        """Tokens of one input, special tokens included; None when the model sets no limit."""
        own = self._json("sentence_bert_config.json").get("max_seq_length")
        positions = self._config.get("max_position_embeddings")
        if positions:
            positions -= _POSITIONS_BEFORE_TEXT.get(str(self._config.get("model_type")), 0)
        limits = [own, positions, self._json("tokenizer_config.json").get("model_max_length")]
        return min((int(limit) for limit in limits if limit and limit < _UNLIMITED), default=None)

    @cached_property
    def prompts(self) -> Mapping[str, str | None]:
        """The prompts that it brings, by name."""
        found = self._json("config_sentence_transformers.json").get("prompts")
        return found if isinstance(found, dict) else {}

    @cached_property
    def tokenizer(self) -> FileTokenizer:
        """Its tokenizer.

        Raises:
            EmbedderError: There is no ``tokenizer.json``.
        """
        for folder in (self.path, self.path / str(self._modules[0]["path"])):
            if (folder / "tokenizer.json").is_file():
                return FileTokenizer((folder / "tokenizer.json").read_bytes(), f"{self.name}/tokenizer.json")
        raise EmbedderError(
            f"{self.name} has no tokenizer.json",
            hint="write one: transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )

    @cached_property
    def _modules(self) -> list[dict[str, Any]]:
        try:
            found = json.loads((self.path / "modules.json").read_text(encoding="utf-8"))
        except FileNotFoundError:  # a bare transformer: sentence-transformers puts mean pooling on it
            return [{"type": "Transformer", "path": ""}]
        except (OSError, ValueError) as error:
            raise EmbedderError(
                f"modules.json of {self.name} cannot be read: {error}", hint="fetch the model again"
            ) from error
        return [dict(module) for module in found]

    @cached_property
    def _config(self) -> dict[str, Any]:
        return self._json(f"{self._modules[0]['path']}/config.json") or self._json("config.json")

    def _json(self, name: str) -> dict[str, Any]:
        """The object in a file; empty when the file is not there."""
        try:
            found = json.loads((self.path / name.lstrip("/")).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise EmbedderError(f"{name} of {self.name} cannot be read: {error}", hint="fetch the model again") from error
        return found if isinstance(found, dict) else {}


def find_model(name: str, *, root: Path, revision: str | None = None) -> ModelFolder:
    """The files of a model: a folder, else the hub's cache on this machine, else the hub.

    Args:
        name: A folder, relative to `root` or not, or a name on the Hugging Face hub, e.g. ``intfloat/e5-small-v2``.
        root: Folder of llmapp.toml.
        revision: Branch, tag or commit of the hub; None is what this machine has, else the newest.

    Raises:
        EmbedderError: There is no such model, or it has no safetensors.
        MissingDependencyError: The hub must be asked, and its client is not installed.
        ConfigError: A revision is named for a folder, which has none.
    """
    folder = (root / Path(name).expanduser()).resolve()
    if folder.is_dir():
        if revision is not None:
            raise ConfigError(f"{name} is a folder and has no revision", hint="leave out embedder_options.revision")
        found = ModelFolder(folder, folder.name)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise EmbedderError(f"there is no model in {name}", hint="name the folder relative to llmapp.toml")
    else:
        path = _of_hub(name, revision)
        found = ModelFolder(path, name, commit=path.name)
    if not next(found.path.rglob("*.safetensors"), None):
        raise EmbedderError(f"{name} has no weights as safetensors", hint="choose a revision that has, or convert the model")
    return found


def _of_hub(name: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise MissingDependencyError("huggingface_hub", extra=EXTRA) from error

    def fetched(*, is_offline: bool) -> Path:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=_WANTED, ignore_patterns=_UNWANTED, local_files_only=is_offline
            )
        )

    try:
        try:
            path = fetched(is_offline=True)
            if next(path.rglob("*.safetensors"), None):  # else it was broken off, or holds another format
                return path
        except LocalEntryNotFoundError:
            pass
        return fetched(is_offline=False)
    except Exception as error:  # errors of the network, of the hub and of names share no base
        raise EmbedderError(
            f"{name} is neither a folder here nor to be had from the hub: {type(error).__name__}",
            hint="check the name and the network, or name a folder that holds the model",
        ) from error


def _modes(pooling: Mapping[str, Any]) -> int:
    """How many vectors a pooling puts side by side."""
    given = pooling.get("pooling_mode")
    if given is None:
        return max(1, sum(value is True for key, value in pooling.items() if key.startswith("pooling_mode_")))
    return len(given) if isinstance(given, list) else 1
