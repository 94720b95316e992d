"""Count endpoints, asked over HTTP of a server that answers as each provider documents."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from llmapp.errors import ModelAuthError, ModelError, ModelUnavailableError, UnknownModelError
from llmapp.models.token_endpoints import count_endpoint
from llmapp.models.token_payloads import openai_payload
from llmapp.types import Message, Tool, ToolCall

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}
TOOL = Tool("look_up", "Looks a word up.", SCHEMA)
CALL = ToolCall("call_1", "look_up", '{"word": "water"}')
CHAT = [
    Message("system", "Be brief."),
    Message("user", "Look it up."),
    Message("assistant", "", (CALL,)),
    Message("tool", "found", tool_call_id="call_1"),
    Message("user", "And \ud800?"),
]


class Provider(ThreadingHTTPServer):
    """Answers by path; keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers, self.asked = {}, []

    def body(self, n=-1):
        return self.asked[n][1]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        answer = self.server.answers.get(self.path, (404, {"error": "no such path"}))
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        content = json.dumps(content(body) if callable(content) else content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    with Provider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def endpoint(model, base_url, key="sk-1"):
    return count_endpoint(model, base_url=base_url, key=lambda: SecretStr(key) if key else None)


def test_openai_counts_the_items_of_a_response(provider):
    provider.answers["/v1/responses/input_tokens"] = {"object": "response.input_tokens", "input_tokens": 123}
    ask = endpoint("openai:gpt-5", f"{provider.url}/v1")
    assert ask(CHAT, [TOOL]) == 123
    assert ask.is_exact
    _, body, headers = provider.asked[0]
    assert headers["authorization"] == "Bearer sk-1"
    assert body["model"] == "gpt-5"
    assert [item.get("type", item.get("role")) for item in body["input"]] == [
        "system", "user", "function_call", "function_call_output", "user",
    ]  # fmt: skip
    assert body["tools"][0]["parameters"] == SCHEMA


@pytest.mark.data
def test_openais_payload_is_of_the_shape_that_it_describes(data_dir):
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    text = (data_dir / "openai-openapi" / "openapi.yaml").read_text(encoding="utf-8")
    schemas = yaml.load(text, Loader=yaml.CSafeLoader)["components"]["schemas"]
    item = {"$ref": "#/components/schemas/InputItem", "components": {"schemas": schemas}}
    tool = {"$ref": "#/components/schemas/FunctionTool", "components": {"schemas": schemas}}
    body = openai_payload("gpt-5", CHAT, [TOOL])
    for each in body["input"]:
        jsonschema.Draft202012Validator(item).validate(each)
    jsonschema.Draft202012Validator(tool).validate(body["tools"][0])


def test_anthropic_counts_system_turns_and_tools_and_calls_it_an_estimate(provider):
    provider.answers["/v1/messages/count_tokens"] = {"input_tokens": 403}
    ask = endpoint("anthropic:claude-sonnet-4", provider.url)
    assert ask(CHAT, [TOOL]) == 403
    assert not ask.is_exact
    _, body, headers = provider.asked[0]
    assert headers["x-api-key"] == "sk-1"
    assert headers["anthropic-version"] == "2023-06-01"
    assert body["system"] == "Be brief."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "water"}}
    ]
    assert body["messages"][2]["content"][0]["tool_use_id"] == "call_1"
    assert body["tools"] == [{"name": "look_up", "description": "Looks a word up.", "input_schema": SCHEMA}]


def test_gemini_counts_a_whole_request(provider):
    provider.answers["/v1beta/models/gemini-2.5-pro:countTokens"] = {"totalTokens": 31}
    assert endpoint("google_genai:gemini-2.5-pro", provider.url)(CHAT, [TOOL]) == 31
    _, body, headers = provider.asked[0]
    assert headers["x-goog-api-key"] == "sk-1"
    request = body["generateContentRequest"]
    assert request["model"] == "models/gemini-2.5-pro"
    assert [turn["role"] for turn in request["contents"]] == ["user", "model", "user", "user"]
    assert request["contents"][1]["parts"] == [{"functionCall": {"name": "look_up", "args": {"word": "water"}}}]
    assert request["contents"][2]["parts"][0]["functionResponse"]["name"] == "look_up"
    assert request["tools"][0]["functionDeclarations"][0]["name"] == "look_up"


def test_vllm_counts_a_chat_in_one_call(provider):
    provider.answers["/tokenize"] = {"count": 17, "max_model_len": 4096, "tokens": list(range(17))}
    assert endpoint("openai-compatible:qwen3", f"{provider.url}/v1/")(CHAT, [TOOL]) == 17
    assert provider.body()["model"] == "qwen3"
    assert provider.body()["add_generation_prompt"]
    assert provider.body()["tools"][0]["function"]["name"] == "look_up"


def test_llama_cpp_renders_in_one_call_and_tokenises_in_another(provider):
    provider.answers["/tokenize"] = 200, lambda body: {"tokens": list(body.get("content", ""))}
    provider.answers["/apply-template"] = {"prompt": "<|im_start|>user"}
    assert endpoint("openai-compatible:smollm2", f"{provider.url}/v1", key=None)(CHAT[:2], []) == 16
    assert [path for path, _, _ in provider.asked] == ["/tokenize", "/apply-template", "/tokenize"]
    assert provider.body() == {"content": "<|im_start|>user", "add_special": True, "parse_special": True}
    assert "authorization" not in provider.asked[0][2]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {}), ModelAuthError),
        ((404, {}), UnknownModelError),
        ((400, {}), ModelError),
        ((429, {}), ModelUnavailableError),
        ((500, {}), ModelUnavailableError),
        ({"tokens": 3}, ModelError),
        ({"input_tokens": "many"}, ModelError),
        ({"input_tokens": True}, ModelError),
        ([3], ModelError),
    ],
)
def test_an_answer_without_a_count_is_a_typed_error(provider, answer, kind):
    provider.answers["/v1/messages/count_tokens"] = answer
    with pytest.raises(kind) as caught:
        endpoint("anthropic:claude", provider.url)(CHAT, [])
    assert caught.value.hint
    assert "sk-1" not in str(caught.value)


def test_a_server_that_is_away_is_a_typed_error():
    with pytest.raises(ModelUnavailableError):
        endpoint("anthropic:claude", "http://127.0.0.1:9")(CHAT, [])


@pytest.mark.parametrize("arguments", ["{", "[1]", "[" * 10_000])
def test_arguments_that_are_no_object_are_sent_under_a_name_of_their_own(provider, arguments):
    provider.answers["/v1/messages/count_tokens"] = {"input_tokens": 1}
    endpoint("anthropic:claude", provider.url)([Message("assistant", "", (ToolCall("1", "f", arguments),))], [])
    assert provider.body()["messages"][0]["content"][0]["input"] == {"arguments": arguments}


@pytest.mark.parametrize(
    ("model", "base_url"), [("ollama:llama3.2", None), ("extractive", None), ("openai-compatible:x", None), ("", None)]
)
def test_a_provider_without_an_endpoint_has_none(model, base_url):
    assert endpoint(model, base_url) is None
