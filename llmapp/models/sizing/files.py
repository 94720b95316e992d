"""A model's own files: ``config.json`` with the headers of its safetensors files, or a GGUF file. Weights are not read.

Source of the form: github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from llmapp.errors import ModelFileError
from llmapp.gguf import GgufHeader, Value, read_gguf
from llmapp.models.sizing import config_json
from llmapp.models.sizing.shape import KvCache, ModelShape, StoredWeights, full_attention

_MOST_HEADER_BYTES = 100_000_000
"""Limit of the safetensors library itself."""
_INDEX = "model.safetensors.index.json"


def shape_of_files(path: Path) -> ModelShape:
    """What a folder, a safetensors file (with its config.json beside it) or a GGUF file says.

    Raises:
        ModelFileError: There is no model, a file of it is missing or cannot be read, or it does not say enough.
    """
    if path.suffix == ".gguf":
        return _of_gguf(path)
    folder = path if path.is_dir() else path.parent
    if not (folder / "config.json").is_file():
        return _of_gguf(_only_gguf(folder))
    config = _read_json(folder / "config.json")
    headers = _headers(folder) if path.is_dir() else [_header(path)] if path.suffix == ".safetensors" else []
    return shape_of_config(folder.resolve().name, config, headers)


def shape_of_config(name: str, config: Mapping[str, Any], headers: list[Mapping[str, Any]]) -> ModelShape:
    """What ``config.json`` says, with the headers of all safetensors files, of which there may be none.

    Raises:
        ModelFileError: It does not say enough.
    """
    text = config_json.text_part(config)
    kv = config_json.kv_cache(text)
    is_packed = bool(config.get("quantization_config"))  # several weights in a number: to count numbers is wrong
    counted = sum(map(_weights, headers)) if headers and not is_packed else None
    by_formula = config_json.parameter_count(text) if text is config else None
    stored = _stored(headers)
    if counted is None and by_formula is None and stored is None:
        raise ModelFileError(
            f"the parameters of a {text.get('model_type')} do not follow from config.json alone",
            hint="put the safetensors files beside it, or give the number of parameters, e.g. 7B",
        )
    return ModelShape(
        name,
        "config.json and the headers of its safetensors files" if headers else "config.json",
        by_formula if counted is None else counted,
        config_json.embedding_parameters(text),
        kv.numbers_per_token,
        kv.is_upper_bound,
        kv.note,
        config_json.max_context_tokens(text),
        stored,
    )


def _stored(headers: list[Mapping[str, Any]]) -> StoredWeights | None:
    if not headers:
        return None
    kinds = sorted({str(tensor.get("dtype")) for header in headers for tensor in header.values()})
    size = sum(max((_end(tensor) for tensor in header.values()), default=0) for header in headers)
    return StoredWeights(" + ".join(kinds), size)


def _headers(folder: Path) -> list[Mapping[str, Any]]:
    """The headers of all files of a model, in the order of their names; none where the folder has no weights."""
    if (folder / _INDEX).is_file():
        parts = _read_json(folder / _INDEX).get("weight_map")
        if not isinstance(parts, dict) or not all(
            isinstance(name, str) and Path(name).name == name for name in parts.values()
        ):
            raise ModelFileError(f"{_INDEX} names no files", hint="download it again")
        return [_header(folder / name) for name in sorted(set(parts.values()))]
    files = sorted(folder.glob("*.safetensors"))
    own = [file for file in files if file.name == "model.safetensors"] or files
    if len(own) > 1:
        raise ModelFileError(f"{folder.name} has {len(own)} safetensors files and no {_INDEX}", hint="name one of them")
    return [_header(file) for file in own]


def _header(file: Path) -> Mapping[str, Any]:
    """The tensors of a safetensors file by name, with dtype, shape and place."""
    try:
        with file.open("rb") as stream:
            return _tensors(stream)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, struct.error) as error:
        raise ModelFileError(
            f"{file.name} cannot be read as a safetensors file: {error}", hint="download it whole"
        ) from error


def _tensors(stream: BinaryIO) -> Mapping[str, Any]:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"its header would have {length:,} bytes")
    tensors = {name: dict(tensor) for name, tensor in json.loads(stream.read(length)).items() if name != "__metadata__"}
    if not all(_length(tensor) >= 0 <= _end(tensor) for tensor in tensors.values()):
        raise ValueError("a tensor has a negative extent")
    return tensors


def _weights(header: Mapping[str, Any]) -> int:
    """Numbers of the tensors; those of whole numbers are positions and masks."""
    return sum(_length(tensor) for tensor in header.values() if str(tensor.get("dtype")).startswith(("F", "BF")))


def _length(tensor: Mapping[str, Any]) -> int:
    return math.prod(tensor["shape"])


def _end(tensor: Mapping[str, Any]) -> int:
    return int(tensor["data_offsets"][1])


def _read_json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{file.name} cannot be read: {error}", hint="download it again") from error
    if not isinstance(read, dict):
        raise ModelFileError(f"{file.name} is no JSON object", hint="download it again")
    return read


def _only_gguf(folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    if len(files) == 1 or (files and "-00001-of-" in files[0].name):
        return files[0]
    raise ModelFileError(
        f"{folder} holds no model: neither a config.json nor one GGUF file", hint="name a model's folder, or its GGUF file"
    )


def _of_gguf(path: Path) -> ModelShape:
    headers = [read_gguf(part) for part in _gguf_parts(path)]
    parameters = sum(header.parameters for header in headers)
    if not parameters:
        raise ModelFileError(f"{path.name} holds no tensors", hint="name the file with the model's weights")
    values = headers[0].values
    size = sum(header.tensor_bytes for header in headers)
    kv = _gguf_kv(_Gguf(headers[0], path.name))
    window = values.get(f"{values.get('general.architecture')}.context_length")
    return ModelShape(
        path.stem,
        "the header of the GGUF file",
        parameters,
        kv_numbers_per_token=kv.numbers_per_token,
        kv_is_upper_bound=kv.is_upper_bound,
        kv_note=kv.note,
        max_context_tokens=window if isinstance(window, int) else None,
        stored=StoredWeights(f"GGUF, {8 * size / parameters:.2f} bits a weight", size),
    )


def _gguf_parts(path: Path) -> Iterator[Path]:
    """All files of a split model, this one first."""
    yield path
    _, mark, rest = path.stem.rpartition("-00001-of-")
    if mark and rest.isdigit():
        for number in range(2, int(rest) + 1):
            yield path.with_name(path.name.replace(mark, f"-{number:05}-of-"))


class _Gguf:
    """The keys of a header that are named after its architecture."""

    def __init__(self, header: GgufHeader, name: str) -> None:
        self._values = header.values
        self._name = name
        self.architecture = str(header.values.get("general.architecture", ""))

    def get(self, key: str) -> Value | None:
        return self._values.get(f"{self.architecture}.{key}")

    def whole(self, key: str, default: int | None = None) -> int:
        value = default if self.get(key) is None else self.get(key)
        if not isinstance(value, int) or value < 1:
            raise ModelFileError(f"{self._name} has no {self.architecture}.{key}", hint="name a whole file of a model")
        return value

    def keys(self) -> Iterator[str]:
        return (key.removeprefix(f"{self.architecture}.") for key in self._values)


def _gguf_kv(file: _Gguf) -> KvCache:
    if "bert" in file.architecture:
        return KvCache(0, note="an encoder keeps nothing between tokens")
    if file.get("attention.kv_lora_rank"):
        return KvCache(None, note="multi-head latent attention: what is kept depends on the server")
    kv_heads = file.get("attention.head_count_kv")
    if isinstance(kv_heads, list) or any(key.startswith(("ssm.", "wkv.", "shortconv.")) for key in file.keys()):  # noqa: SIM118
        return KvCache(None, note="some layers keep a state that is no KV cache")
    heads = file.whole("attention.head_count")
    key_dim = file.whole("attention.key_length", file.whole("embedding_length") // heads)
    value_dim = file.whole("attention.value_length", key_dim)
    full = full_attention(file.whole("block_count"), file.whole("attention.head_count_kv", heads), key_dim, value_dim)
    if window := file.get("attention.sliding_window"):
        return KvCache(full.numbers_per_token, is_upper_bound=True, note=f"some layers keep the last {window} tokens only")
    return full
