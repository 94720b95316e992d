"""Published figures of models, computed anew from their published configurations."""

import json
from pathlib import Path

import pytest

from llmapp.errors import ModelFileError
from llmapp.models.sizing.config_json import embedding_parameters, kv_cache, max_context_tokens, parameter_count
from llmapp.models.sizing.named import open_model, open_models

CONFIGS = Path(__file__).parent / "configs"


def config(name):
    return json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llama-3-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("llama-2-13b", 13_015_864_320),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("gemma-2-9b", 9_241_705_984),
    ],
)
def test_the_parameters_follow_from_the_extents_every_expert_counted(name, published):
    assert parameter_count(config(name)) == published


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("llama-3-8b", 131_072),
        ("llama-3.1-70b", 327_680),
        ("llama-2-13b", 819_200),  # 0.78 MiB: the "1 MB a token" of 2023
        ("mixtral-8x7b", 131_072),
        ("qwen2.5-7b", 57_344),
        ("qwen3-0.6b", 114_688),
        ("gpt2", 36_864),
        ("falcon-7b", 8_192),  # one KV head for 71 heads
    ],
)
def test_a_token_takes_a_key_and_a_value_of_every_kv_head_in_every_layer(name, bytes_per_token):
    cache = kv_cache(config(name))
    assert 2 * cache.numbers_per_token == bytes_per_token
    assert not cache.is_upper_bound


def test_the_published_head_dim_wins_over_width_by_heads():
    given = config("qwen3-0.6b")
    assert given["hidden_size"] // given["num_attention_heads"] == 64
    without = {key: value for key, value in given.items() if key != "head_dim"}
    assert kv_cache(given).numbers_per_token == 2 * kv_cache(without).numbers_per_token


@pytest.mark.parametrize("name", ["mistral-7b", "gemma-2-9b"])
def test_a_sliding_window_makes_the_cache_an_upper_bound(name):
    cache = kv_cache(config(name))
    assert cache.is_upper_bound
    assert "4,096" in cache.note


def test_a_window_that_is_switched_off_bounds_nothing():
    assert config("qwen2.5-7b")["sliding_window"]
    assert not kv_cache(config("qwen2.5-7b")).is_upper_bound


@pytest.mark.parametrize(("name", "why"), [("deepseek-v3", "latent"), ("qwen3-next-80b", "no KV cache")])
def test_what_keeps_something_else_is_not_computed(name, why):
    cache = kv_cache(config(name))
    assert cache.numbers_per_token is None
    assert why in cache.note


def test_layers_of_another_kind_are_seen_whatever_the_family_is_called():
    cache = kv_cache(config("llama-3-8b") | {"model_type": "new", "layer_types": ["full_attention", "linear_attention"]})
    assert cache.numbers_per_token is None


def test_an_encoder_keeps_nothing():
    assert kv_cache({"model_type": "bert"}).numbers_per_token == 0


def test_the_parameters_of_a_family_without_a_formula_are_not_guessed():
    assert parameter_count(config("gpt2")) is None


@pytest.mark.parametrize("key", ["num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size"])
@pytest.mark.parametrize("value", [None, 0, -1, "many", True, 1.5])
def test_a_missing_or_senseless_extent_is_a_typed_error(key, value):
    given = config("llama-3-8b") | {key: value}
    with pytest.raises(ModelFileError, match=f"no {key}"):
        parameter_count(given)


def test_heads_that_do_not_divide_the_width_are_an_error_and_no_fraction():
    with pytest.raises(ModelFileError, match="do not divide"):
        kv_cache(config("llama-3-8b") | {"num_attention_heads": 33})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_every_fact_of_the_open_models_follows_from_their_configuration(path):
    given = json.loads(path.read_text(encoding="utf-8"))
    assert given["source"].startswith("huggingface.co/")
    known = open_model(path.stem)
    if known is None:
        assert path.stem in {"falcon-7b", "gpt2", "qwen3-next-80b"}
        return
    cache = kv_cache(given)
    assert known.parameters == (parameter_count(given) or 671_000_000_000)
    assert known.embedding_parameters == embedding_parameters(given)
    assert (known.kv_numbers_per_token, known.kv_is_upper_bound, known.kv_note) == (
        cache.numbers_per_token,
        cache.is_upper_bound,
        cache.note,
    )
    assert known.max_context_tokens == max_context_tokens(given)


def test_every_open_model_has_its_configuration_here():
    stems = {path.stem for path in CONFIGS.glob("*.json")}
    known = {open_model(stem).name for stem in stems if open_model(stem)}
    assert known == {shape.name for shape in open_models()}
