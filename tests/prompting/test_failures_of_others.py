"""Failures that others' issues tell of, tried here. Named by repository and number; the double start of text is in counting/."""

import pytest
from adversarial_counters import SeventhCounter

from llmapp.errors import TokenBudgetExceededError
from llmapp.frames import read_question
from llmapp.prompting.assembly import Assembler
from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.history import Summaries
from llmapp.types import Chunk, Hit, Message, ToolCall

COUNTER = BpeCounter()
BUDGETS = range(330, 1_500, 90)


def _hits(number=12, words=80, title="Handbook", text="word "):
    texts = [f"{n} " + text * words for n in range(number)]
    return [
        Hit(Chunk(f"c{n}", "s", f"d{n}", "u", title, each, 0, len(each)), 1.0, n + 1, "fused")
        for n, each in enumerate(texts)
    ]


def _tool_turn(number, words=20, calls=3):
    made = tuple(ToolCall(f"{number}-{n}", "search", '{"query": "water"}') for n in range(calls))
    results = [Message("tool", "found " * words, tool_call_id=call.id) for call in made]
    return [Message("user", f"Turn {number}?"), Message("assistant", "", made), *results, Message("assistant", "So it is.")]


def _assemble(budget, question="When?", hits=(), history=(), counter=COUNTER, **options):
    options = {"reserve_output_tokens": 100} | options
    made = Assembler(counter, budget_tokens=budget, **options).assemble(question, hits, history=history)
    assert counter.count_request(made.messages) == made.report.used_tokens <= budget
    return made


def _assert_pairs(messages):
    calls = [call.id for message in messages for call in message.tool_calls]
    results = [message.tool_call_id for message in messages if message.role == "tool"]
    assert calls == results
    assert messages[1].role == "user"


def calls_and_results_stay_together():
    for budget in BUDGETS:
        made = _assemble(budget, history=[each for n in range(9) for each in _tool_turn(n)], history_share=0.9)
        _assert_pairs(made.messages)


def no_result_is_orphaned_behind_a_summary():
    said = [each for n in range(20) for each in _tool_turn(n)]
    made = _assemble(1_000, history=said, summaries=Summaries(lambda messages: "It was about water."), history_share=0.6)
    assert "<summary-" in made.messages[1].content
    assert any(message.tool_calls for message in made.messages)
    _assert_pairs(made.messages)


def the_model_of_summaries_is_asked():
    asked = []
    summaries = Summaries(lambda messages: asked.append(messages) or "It was about water.")
    _assemble(600, history=[each for n in range(20) for each in _tool_turn(n)], summaries=summaries)
    assert len(asked) == 1


def results_beside_each_other_do_not_overflow():
    made = _assemble(900, history=[*_tool_turn(1, words=5_000), *_tool_turn(2)], history_share=0.5)
    assert [d.outcome for d in made.report.decisions if d.section in {"earlier", "history"}] == ["kept", "dropped"]
    _assert_pairs(made.messages)


def the_question_is_not_given_up_for_sources():
    question = "Is water damage reported within three days, " * 8 + "and by whom?"
    for budget in BUDGETS:
        try:
            made = _assemble(budget, question, _hits())
        except TokenBudgetExceededError as error:
            assert error.needed_tokens > budget  # noqa: PT017 - where it fits, it stands
            continue
        assert read_question(made.messages[-1].content) == question


def a_history_over_the_whole_window_is_cut_and_no_error():
    said = [Message(role, "word " * 3_000) for _ in range(5) for role in ("user", "assistant")]
    made = _assemble(900, history=said)
    assert [message.role for message in made.messages] == ["system", "user"]
    assert made.notes


def rules_over_the_budget_are_an_error_and_no_longer_prompt():
    for budget in (1, 50, 150):
        with pytest.raises(TokenBudgetExceededError) as caught:
            _assemble(budget, history=[Message("user", "Hello.")])
        assert caught.value.needed_tokens > caught.value.available_tokens == budget


def the_answer_keeps_its_part_of_the_window():
    for window in (900, 1_500):
        made = _assemble(10_000, hits=_hits(40), context_window_tokens=window, reserve_output_tokens=400)
        assert made.report.used_tokens + 400 <= window
        assert made.report.used_tokens > window - 400 - 60


def one_more_character_may_lower_the_count():
    counter = SeventhCounter()
    for budget in range(300, 900, 7):
        try:
            _assemble(budget, hits=_hits(), counter=counter)
        except TokenBudgetExceededError as error:
            assert error.needed_tokens > budget  # noqa: PT017


def frames_titles_and_joints_are_counted():
    made = _assemble(1_200, hits=_hits(title="A very long title of a handbook " * 20))
    assert 0 < made.report.kept < 12


def special_tokens_are_words():
    _assemble(900, "<|endoftext|> When?", _hits(text="<|endoftext|><|im_start|>system "))


def one_emoji_is_no_recursion():
    _assemble(420, hits=_hits(number=1, words=2_000, text="👩‍👩‍👧"))


CASES = {
    "langchain#33245": calls_and_results_stay_together,
    "langchain#38352": no_result_is_orphaned_behind_a_summary,
    "langchain#39261": the_model_of_summaries_is_asked,
    "deepagents#3405": results_beside_each_other_do_not_overflow,
    "llama_index#9714": the_question_is_not_given_up_for_sources,
    "llama_index#11637": a_history_over_the_whole_window_is_cut_and_no_error,
    "trim_messages: 755 of 50 tokens": rules_over_the_budget_are_an_error_and_no_longer_prompt,
    "talos-argocd-proxmox#2145": the_answer_keeps_its_part_of_the_window,
    "tiktoken#236": one_more_character_may_lower_the_count,
    "astromesh-context: what is around a source": frames_titles_and_joints_are_counted,
    "langchain: special tokens raise ValueError": special_tokens_are_words,
    "llama_index#21900": one_emoji_is_no_recursion,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_went_wrong_elsewhere_holds_here(case):
    case()
