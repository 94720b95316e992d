import pytest

from llmapp.costs.options import check_options
from llmapp.errors import CostError

FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    "option",
    [
        {"model": "dearer"},
        {"model_name": "dearer"},
        {"service_tier": "priority"},
        {"extra_body": {"max_tokens": 9}},
        {"extra_headers": {"x": "y"}},
        {"previous_response_id": "resp_1"},
        {"candidate_count": 8},
        {"best_of": 5},
        {"generation_config": {"candidate_count": 8}},
        {"model_kwargs": {"n": 9}},
        {"modalities": ["text", "audio"]},
        {"thinking": {"type": "enabled", "budget_tokens": 50_000}},
        {"options": {"num_predict": 9_999}},
        {"never_heard_of": None},
    ],
)
def test_what_could_change_the_price_or_the_bound_is_refused_by_name(option):
    with pytest.raises(CostError, match=next(iter(option))) as refused:
        check_options({"temperature": 0.2, **option})
    assert refused.value.hint


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "web_search"}],
        [FUNCTION, {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}],
        [{"google_search": {}}],
        [{"type": "code_interpreter", "container": {"type": "auto"}}],
        [print],
        "web_search",
    ],
)
def test_tools_that_the_provider_runs_are_refused(tools):
    with pytest.raises(CostError, match="tools"):
        check_options({"tools": tools})


@pytest.mark.parametrize("answers", [0, -5, "3", 1.5])
def test_a_number_of_answers_is_a_whole_number_above_zero(answers):
    with pytest.raises(CostError, match="n="):
        check_options({"n": answers})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False, "strict": True},
        {"tools": [{"name": "look_up", "input_schema": {"type": "object"}}]},
        {"tools": None, "n": None, "max_tokens": None},
        {"response_format": {"type": "json_object"}, "format": "json"},
        {"temperature": 0, "top_p": 1, "top_k": 5, "seed": 1, "n": 2, "max_tokens": 9, "stream_usage": True},
    ],
)
def test_sampling_functions_and_structured_output_are_allowed(options):
    check_options(options)
