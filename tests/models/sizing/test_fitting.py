"""The arithmetic of memory against published figures, and its invariants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import InvalidRequestError
from llmapp.models.sizing.fitting import Placement, fit
from llmapp.models.sizing.formats import FORMATS
from llmapp.models.sizing.named import open_model
from llmapp.models.sizing.quantities import GB, GIB
from llmapp.models.sizing.shape import ModelShape

LLAMA = open_model("llama-3-8b")
RANK = {"no": 0, "tight": 1, "fits": 2}


def row(found, name):
    return next(each for each in found.rows if each.format.startswith(name))


def weights(parameters, name):
    return next(each for each in FORMATS if each.name.startswith(name)).weights_bytes(parameters)


def test_llama_3_8b_takes_14_957_gib_in_16_bits():
    assert weights(LLAMA.parameters, "bf16") / GIB == pytest.approx(14.957, abs=0.001)
    assert weights(7 * 10**9, "bf16") == 14 * GB  # "2x number of parameters", ray-project/llm-numbers


def test_idefics_80b_takes_a_byte_a_parameter_in_8_bits_and_its_table_is_in_gib():
    parameters = round(74.28 * GIB)
    assert parameters == pytest.approx(79.76e9, rel=1e-3)
    assert weights(parameters, "int8") / GIB == pytest.approx(74.28, abs=0.01)


def test_a_gigabyte_a_billion_parameters_is_true_of_8_bits_in_decimal_gigabytes_only():
    billion = 10**9
    assert weights(billion, "int8") == GB
    assert weights(billion, "int8") < GIB
    assert weights(billion, "fp32") == 4 * GB
    assert 0.5 * GB <= weights(billion, "int4") <= 0.6 * GB


def test_the_sizes_of_llama_cpp_are_those_of_its_own_table():
    for name, size_gib in (
        ("Q8_0", 7.95),
        ("Q6_K", 6.14),
        ("Q5_K_M", 5.33),
        ("Q4_K_M", 4.58),
        ("IQ4_XS", 4.17),
        ("Q2_K", 2.95),
    ):
        assert weights(LLAMA.parameters, f"GGUF {name}") / GIB == pytest.approx(size_gib, abs=0.006)


def test_embeddings_stay_in_16_bits_where_quantisers_leave_them():
    awq = row(fit(LLAMA, Placement(24 * GB, 8_192)), "int4")
    assert awq.weights_bytes / GB == pytest.approx(5.7, abs=0.05)  # the published AWQ files of Llama 3 have 5.7 GB


def test_a_context_of_8k_takes_a_gib_and_of_128k_sixteen():
    for tokens, size_gib in ((8_192, 1), (131_072, 16)):
        assert row(fit(LLAMA, Placement(80 * GB, tokens)), "bf16").kv_bytes == size_gib * GIB
    assert row(fit(LLAMA, Placement(80 * GB, 8_192, batch=16)), "bf16").kv_bytes == 16 * GIB
    assert row(fit(LLAMA, Placement(80 * GB, 8_192, kv_bits=8)), "bf16").kv_bytes == GIB // 2


def test_the_cache_of_vllm_12330_is_computed_anew():
    # A100-40: 0.90 x 39.50 GiB - 14.96 weights - 9.37 activations - 0.10 other = 11.12 GiB, 5,691 blocks of 16 tokens.
    measured = round((9.37 + 0.10) * GIB)
    placement = Placement(round(39.50 * GIB), 8_192, share=0.9, overhead_bytes=measured)
    long = ModelShape(**{**{name: getattr(LLAMA, name) for name in ModelShape.__slots__}, "max_context_tokens": None})
    found = row(fit(long, placement), "bf16")
    pool = placement.usable_bytes - found.weights_bytes - measured
    assert pool / GIB == pytest.approx(11.12, abs=0.01)
    assert found.max_context_tokens / 16 == pytest.approx(5_691, abs=4)
    assert found.max_context_tokens / 8_192 == pytest.approx(11.12, abs=0.01)
    assert pytest.approx(11.115, abs=0.001) == 5_691 * 16 * 131_072 / GIB


def test_the_l4_of_kvplan_lies_within_the_range():
    # 20.69 GiB budget, 14.96 weights, 0.83 overhead: 40,208 tokens.
    llama = open_model("llama-3.1-8b")
    measured = row(fit(llama, Placement(round(20.69 * GIB), 8_192, overhead_bytes=round(0.83 * GIB))), "bf16")
    assert measured.max_context_tokens == pytest.approx(40_208, rel=0.002)
    ranged = row(fit(llama, Placement(round(20.69 * GIB), 8_192)), "bf16")
    assert ranged.least_overhead_bytes <= 0.83 * GIB <= ranged.most_overhead_bytes


def test_a_mixture_takes_all_its_experts():
    mixtral = row(fit(open_model("mixtral"), Placement(80 * GB, 8_192)), "bf16")
    assert mixtral.weights_bytes == 2 * 46_702_792_704
    assert mixtral.verdict == "no"


def test_a_cache_that_is_not_known_bounds_no_context():
    found = row(fit(open_model("deepseek-v3"), Placement(1_000 * GB, 8_192)), "int8")
    assert found.kv_bytes is None
    assert found.max_context_tokens is None
    assert found.verdict == "fits"


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.1}, {"batch": 0}, {"context_tokens": 0}, {"kv_bits": 4}])
def test_a_place_that_is_none_is_refused(wrong):
    with pytest.raises(InvalidRequestError):
        Placement(**({"gpu_bytes": GB, "context_tokens": 1} | wrong))


_shapes = st.builds(
    ModelShape,
    st.just("m"),
    st.just("drawn"),
    st.integers(1, 10**12),
    st.integers(0, 10**10),
    st.none() | st.integers(0, 10**7),
    max_context_tokens=st.none() | st.integers(1, 10**7),
)
_places = st.builds(Placement, st.integers(1, 10**13), st.integers(1, 10**6), st.integers(1, 512))


@given(_shapes, _places, st.integers(0, 10**6), st.integers(0, 512))
def test_more_context_or_batch_never_fits_better(shape, place, more_tokens, more_batch):
    larger = Placement(place.gpu_bytes, place.context_tokens + more_tokens, place.batch + more_batch)
    for before, after in zip(fit(shape, place).rows, fit(shape, larger).rows, strict=True):
        assert RANK[after.verdict] <= RANK[before.verdict]
        assert (after.kv_bytes or 0) >= (before.kv_bytes or 0)
        assert after.max_context_tokens is None or after.max_context_tokens <= before.max_context_tokens


@given(_shapes, _places)
def test_the_longest_context_fits_and_one_token_more_does_not(shape, place):
    for found in fit(shape, place).rows:
        longest = found.max_context_tokens
        if not longest or not shape.kv_numbers_per_token:
            continue
        at = Placement(place.gpu_bytes, longest, place.batch)
        assert row(fit(shape, at), found.format).verdict == "fits"
        if longest != shape.max_context_tokens:
            beyond = Placement(place.gpu_bytes, longest + 1, place.batch)
            assert row(fit(shape, beyond), found.format).verdict != "fits"


@given(_shapes, _places)
def test_fewer_bits_never_take_more(shape, place):
    sizes = [each.weights_bytes for each in fit(shape, place).rows if each.format.startswith("GGUF")]
    assert sizes == sorted(sizes, reverse=True)
