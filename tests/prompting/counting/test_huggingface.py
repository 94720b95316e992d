import json

import pytest
from counting_models import CHATML, LLAMA3, MISTRAL, byte_level, sentence_pieces
from transformers import PreTrainedTokenizerFast

from llmapp.errors import PromptError
from llmapp.prompting.counting import HuggingFaceCounter
from llmapp.types import Message, Tool, ToolCall

PARAMETERS = {
    "type": "object",
    "properties": {"word": {"type": "string", "description": "Größe & <b>"}},
    "required": ["word"],
}
TOOL = Tool("look_up", "Looks a word up.", PARAMETERS)
CHAT = [
    Message("user", "What is <reported> within 72 hours? 水害 \U0001f468\u200d\U0001f469"),
    Message("assistant", "  Water damage.\n"),
    Message("user", "Says who?"),
]
SYSTEM = Message("system", "Be brief.")
CALL = ToolCall("call00001", "look_up", '{"word": "handbook"}')
CALLS = [
    Message("user", "Look it up."),
    Message("assistant", "", (CALL,)),
    Message("tool", '{"found": 1}', tool_call_id="call00001"),
]


@pytest.fixture
def model(tmp_path):
    """Writes a model's folder, and hands over transformers' own reading of it."""

    def write(template, tokenizer=None, **config):
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer or byte_level(), bos_token="<s>", eos_token="</s>", chat_template=template, **config
        )
        fast.save_pretrained(tmp_path)
        return fast

    return write


def as_dicts(messages):
    """As transformers takes them."""
    found = []
    for message in messages:
        value = {"role": message.role, "content": message.content}
        if message.tool_calls:
            value["tool_calls"] = [
                {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
                for call in message.tool_calls
            ]
        if message.tool_call_id:
            value["tool_call_id"] = message.tool_call_id
        found.append(value)
    return found


def ids(fast, messages, tools=()):
    schemas = [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in tools
    ]
    return fast.apply_chat_template(as_dicts(messages), tools=schemas or None, add_generation_prompt=True)["input_ids"]


@pytest.mark.parametrize("tokenizer", [byte_level, sentence_pieces])
@pytest.mark.parametrize("template", [CHATML, LLAMA3, MISTRAL], ids=["chatml", "llama3", "mistral"])
@pytest.mark.parametrize("messages", [CHAT[:1], CHAT, [SYSTEM, *CHAT]], ids=["question", "chat", "system"])
def test_a_request_counts_what_transformers_makes_of_it(model, tmp_path, template, messages, tokenizer):
    fast = model(template, tokenizer())
    counter = HuggingFaceCounter(tmp_path)
    assert counter.is_exact
    assert counter.count_request(messages) == len(ids(fast, messages))


@pytest.mark.parametrize("template", [CHATML, LLAMA3], ids=["chatml", "llama3"])
@pytest.mark.parametrize("messages", [[SYSTEM, *CHAT], CALLS], ids=["chat", "calls"])
def test_tools_and_their_calls_count_what_transformers_makes_of_them(model, tmp_path, template, messages):
    fast = model(template)
    counter = HuggingFaceCounter(tmp_path)
    assert counter.is_exact_with_tools
    assert (
        counter.count_request(messages, tools=[TOOL]) == len(ids(fast, messages, [TOOL])) > counter.count_request(messages)
    )


def test_the_start_of_text_stands_once(model, tmp_path):
    fast = model(LLAMA3)
    start = fast.convert_tokens_to_ids("<s>")
    assert fast.encode("x")[0] == start
    assert ids(fast, CHAT).count(start) == 1
    assert HuggingFaceCounter(tmp_path).count_request(CHAT) == len(ids(fast, CHAT))


def test_the_template_of_a_file_beside_it_wins_and_one_for_tools_is_used_for_them(model, tmp_path):
    fast = model([{"name": "default", "template": MISTRAL}, {"name": "tool_use", "template": CHATML}])
    counter = HuggingFaceCounter(tmp_path / "tokenizer.json")
    assert counter.count_request(CHAT, tools=[TOOL]) == len(ids(fast, CHAT, [TOOL]))
    assert counter.count_request(CHAT) == len(ids(fast, CHAT))
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert HuggingFaceCounter(tmp_path).count_request(CHAT[:1]) == counter.count(CHAT[0].content)


def test_a_template_in_the_configuration_is_found(model, tmp_path):
    fast = model(LLAMA3)
    (tmp_path / "chat_template.jinja").unlink()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config |= {"chat_template": LLAMA3, "bos_token": {"content": "<s>", "lstrip": False}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert HuggingFaceCounter(tmp_path).count_request(CHAT) == len(ids(fast, CHAT))


def test_tools_that_a_template_leaves_out_are_added_as_an_estimate(model, tmp_path):
    model(MISTRAL)
    counter = HuggingFaceCounter(tmp_path)
    assert not counter.is_exact_with_tools
    assert counter.count_request(CHAT, tools=[TOOL]) > counter.count_request(CHAT) + 530


def test_a_request_of_no_messages_counts_the_frame(model, tmp_path):
    model(CHATML)
    counter = HuggingFaceCounter(tmp_path)
    assert counter.count_request([]) == counter.count_request([Message("user", "")])


def test_what_a_template_refuses_is_a_typed_error_that_says_why(model, tmp_path):
    model(MISTRAL)
    with pytest.raises(PromptError, match="roles must alternate") as caught:
        HuggingFaceCounter(tmp_path).count_request([CHAT[0], CHAT[0]])
    assert caught.value.hint


@pytest.mark.parametrize(
    "attack",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10 ** 12) %}x{% endfor %}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(model, tmp_path, attack):
    model(CHATML)
    (tmp_path / "chat_template.jinja").write_text(attack)
    counter = HuggingFaceCounter(tmp_path)
    with pytest.raises(PromptError, match="refuses"):
        counter.count_request(CHAT)


def test_a_template_that_cannot_be_read_is_a_typed_error(model, tmp_path):
    model(CHATML)
    (tmp_path / "chat_template.jinja").write_text("{% if %}")
    with pytest.raises(PromptError, match="chat template cannot be read"):
        HuggingFaceCounter(tmp_path).count_request(CHAT)


def test_without_a_template_frames_are_allowances_and_it_is_said(tmp_path):
    byte_level().save(str(tmp_path / "tokenizer.json"))
    counter = HuggingFaceCounter(tmp_path / "tokenizer.json")
    assert counter.count_request([Message("user", "")]) == 32 + 8 + counter.count("user")
    assert not counter.is_exact
    assert not counter.is_exact_with_tools
    assert counter.name == "tokenizers:tokenizer.json"


def test_a_models_own_tokenizer_is_counted_without_its_truncation(tmp_path):
    byte_level().save(str(tmp_path / "tokenizer.json"))
    counter = HuggingFaceCounter(tmp_path)
    assert counter.count("water damage is reported within 72 hours") > 4
    assert counter.count("<|endoftext|>\ud800") > 0


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_is_not_what_it_should_be_is_a_typed_error(model, tmp_path, name):
    model(CHATML)
    (tmp_path / name).write_text("{")
    with pytest.raises(PromptError, match=name) as caught:
        HuggingFaceCounter(tmp_path).count_request(CHAT)
    assert caught.value.hint
