"""What ``config.json``, as Hugging Face's transformers writes it, says of a model's KV cache and of its parameters.

Families name the same things differently. What keeps less than full attention is an upper bound, and what keeps something
else entirely is not computed: a wrong number is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmapp.errors import ModelFileError
from llmapp.models.sizing.shape import KvCache, full_attention

_ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "bge",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "gte",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "roberta",
        "xlm-roberta",
    ]
)
_OTHER_STATE = frozenset(
    [
        "bamba",
        "falcon_h1",
        "falcon_mamba",
        "granitemoehybrid",
        "jamba",
        "lfm2",
        "mamba",
        "mamba2",
        "minimax",
        "nemotron_h",
        "qwen3_next",
        "recurrent_gemma",
        "rwkv",
        "rwkv5",
        "zamba",
        "zamba2",
    ]
)
"""Families of which some or all layers keep a state that is no KV cache."""
_OTHER_LAYERS = frozenset({"conv", "linear_attention", "mamba", "recurrent"})
_GATED = frozenset(["gemma", "gemma2", "llama", "mistral", "mixtral", "phi3", "qwen2", "qwen3", "qwen3_moe"])
"""Families whose parameters follow from their extents, by one formula."""
_UNTIED_BY_DEFAULT = _GATED - {"gemma", "gemma2"}

Config = Mapping[str, Any]


def text_part(config: Config) -> Config:
    """The part on language of a model that reads images too; else the whole."""
    part = config.get("text_config")
    return part if isinstance(part, Mapping) else config


def kv_cache(config: Config) -> KvCache:
    """What a token keeps.

    Raises:
        ModelFileError: The file does not say how many layers and heads there are.
    """
    kind = str(config.get("model_type", ""))
    if kind in _ENCODERS:
        return KvCache(0, note="an encoder keeps nothing between tokens")
    if config.get("kv_lora_rank"):
        return KvCache(None, note="multi-head latent attention: what is kept depends on the server")
    if kind in _OTHER_STATE or not _OTHER_LAYERS.isdisjoint(_layer_kinds(config)):
        return KvCache(None, note="some layers keep a state that is no KV cache")
    if config.get("is_encoder_decoder"):
        return KvCache(None, note="an encoder with a decoder keeps a second cache for what it reads")
    layers, heads = _whole(config, "num_hidden_layers", "n_layer", "num_layers"), _heads(config)
    full = full_attention(layers, _kv_heads(config, heads), _head_dim(config, heads))
    if window := _window(config):
        return KvCache(full.numbers_per_token, is_upper_bound=True, note=f"some layers keep the last {window:,} tokens only")
    return full


def _layer_kinds(config: Config) -> list[str]:
    kinds = config.get("layer_types")
    return [str(kind) for kind in kinds] if isinstance(kinds, list) else []


def max_context_tokens(config: Config) -> int | None:
    """Tokens that the model was made for; None where the file does not say."""
    found = (config.get(key) for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"))
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def embedding_parameters(config: Config) -> int:
    """Numbers of the embeddings, and of the output layer where it is not the same; 0 where the file does not say."""
    vocabulary, width = config.get("vocab_size"), config.get("hidden_size", config.get("n_embd"))
    if not isinstance(vocabulary, int) or not isinstance(width, int):
        return 0
    return vocabulary * width * (1 if _is_tied(config) else 2)


def parameter_count(config: Config) -> int | None:
    """All parameters of a decoder with a gated feed-forward part, experts counted; None for another family.

    Source: the classes of transformers 5; Llama-3-8B has 8,030,261,248, Mixtral-8x7B 46,702,792,704.

    Raises:
        ModelFileError: An extent is missing.
    """
    kind = str(config.get("model_type"))
    if kind not in _GATED:
        return None
    width, layers, heads = _whole(config, "hidden_size"), _whole(config, "num_hidden_layers"), _heads(config)
    kv_heads, head_dim = _kv_heads(config, heads), _head_dim(config, heads)
    queries, keys = heads * head_dim, kv_heads * head_dim
    attention = 2 * width * queries + 2 * width * keys + _attention_extras(config, queries, keys, head_dim)
    norms = (4 if kind == "gemma2" else 2) * width
    return embedding_parameters(config) + layers * (attention + _feed_forward(config, width) + norms) + width


def _attention_extras(config: Config, queries: int, keys: int, head_dim: int) -> int:
    kind = config["model_type"]
    if kind == "qwen2":
        return queries + 2 * keys  # biases of query, key and value
    biases = queries + 2 * keys + _whole(config, "hidden_size") if config.get("attention_bias") else 0
    return biases + (2 * head_dim if kind in {"qwen3", "qwen3_moe"} else 0)  # norms of query and key


def _feed_forward(config: Config, width: int) -> int:
    kind = config["model_type"]
    if kind == "mixtral":
        experts, inner = _whole(config, "num_local_experts"), _whole(config, "intermediate_size")
    elif kind == "qwen3_moe":
        experts, inner = _whole(config, "num_experts"), _whole(config, "moe_intermediate_size")
    else:
        return 3 * width * _whole(config, "intermediate_size")
    return experts * 3 * width * inner + experts * width


def _is_tied(config: Config) -> bool:
    return bool(config.get("tie_word_embeddings", str(config.get("model_type")) not in _UNTIED_BY_DEFAULT))


def _window(config: Config) -> int | None:
    """Tokens that a layer with a sliding window or with chunks keeps; None where there is no such layer."""
    if config.get("use_sliding_window") is False:
        return None
    window = config.get("sliding_window") or config.get("attention_chunk_size")
    return window if isinstance(window, int) else None


def _heads(config: Config) -> int:
    return _whole(config, "num_attention_heads", "n_head", "num_heads")


def _kv_heads(config: Config, heads: int) -> int:
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        return 1
    named = [key for key in ("num_key_value_heads", "num_kv_heads") if config.get(key) is not None]
    return _whole(config, *named) if named else heads


def _head_dim(config: Config, heads: int) -> int:
    if config.get("head_dim") is not None:
        return _whole(config, "head_dim")  # published: width / heads is wrong for Qwen3 and Gemma
    width = _whole(config, "hidden_size", "n_embd", "d_model")
    if width % heads:
        raise ModelFileError(f"{width} numbers do not divide into {heads} heads", hint="add head_dim to config.json")
    return width // heads


def _whole(config: Config, *keys: str) -> int:
    value = next((config[key] for key in keys if key in config), None)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFileError(f"config.json has no {keys[0]}", hint="name a folder with the model's own config.json")
    return value
