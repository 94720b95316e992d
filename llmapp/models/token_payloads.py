"""Requests as the count endpoints of providers want them.

Sources (2026-11): OpenAI's API description, ``POST /responses/input_tokens``; Anthropic, "Count tokens in a Message"; Google,
"models.countTokens"; vLLM's ``/tokenize``; llama.cpp's ``/apply-template``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from llmapp.types import Message, Tool

Payload: TypeAlias = dict[str, Any]


def openai_payload(model: str, messages: Sequence[Message], tools: Sequence[Tool]) -> Payload:
    """For ``POST /v1/responses/input_tokens``."""
    functions = [
        {"type": "function", "name": t.name, "description": t.description, "parameters": dict(t.parameters), "strict": False}
        for t in tools
    ]
    body: Payload = {"model": model, "input": [item for message in messages for item in _openai_items(message)]}
    return {**body, "tools": functions} if functions else body


def _openai_items(message: Message) -> list[Payload]:
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": message.content}]
    said = [{"role": message.role, "content": message.content}] if message.content or not message.tool_calls else []
    calls = (
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    )
    return [*said, *calls]


def anthropic_payload(model: str, messages: Sequence[Message], tools: Sequence[Tool]) -> Payload:
    """For ``POST /v1/messages/count_tokens``."""
    body: Payload = {"model": model, "messages": [_anthropic_turn(each) for each in messages if each.role != "system"]}
    if system := "\n\n".join(message.content for message in messages if message.role == "system"):
        body["system"] = system
    if tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)} for tool in tools
        ]
    return body


def _anthropic_turn(message: Message) -> Payload:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": message.content}
        return {"role": "user", "content": [result]}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    said = [{"type": "text", "text": message.content}] if message.content else []
    calls = (
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call.arguments)}
        for call in message.tool_calls
    )
    return {"role": "assistant", "content": [*said, *calls]}


def google_payload(model: str, messages: Sequence[Message], tools: Sequence[Tool]) -> Payload:
    """For ``POST /v1beta/models/MODEL:countTokens``."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    request: Payload = {
        "model": f"models/{model}",
        "contents": [_google_turn(message, names) for message in messages if message.role != "system"],
    }
    if system := [{"text": message.content} for message in messages if message.role == "system"]:
        request["systemInstruction"] = {"parts": system}
    if tools:
        declared = [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in tools
        ]
        request["tools"] = [{"functionDeclarations": declared}]
    return {"generateContentRequest": request}


def _google_turn(message: Message, names: Mapping[str, str]) -> Payload:
    if message.role == "tool":
        name = names.get(message.tool_call_id or "", "")
        return {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"result": message.content}}}]}
    said = [{"text": message.content}] if message.content or not message.tool_calls else []
    calls = ({"functionCall": {"name": call.name, "args": _arguments(call.arguments)}} for call in message.tool_calls)
    return {"role": "model" if message.role == "assistant" else "user", "parts": [*said, *calls]}


def chat_payload(messages: Sequence[Message], tools: Sequence[Tool]) -> Payload:
    """Messages and tools as OpenAI's chat completions have them, which vLLM and llama.cpp take too."""
    body: Payload = {"messages": [_chat_turn(message) for message in messages]}
    if tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in tools
        ]
    return body


def _chat_turn(message: Message) -> Payload:
    turn: Payload = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return {**turn, "tool_call_id": message.tool_call_id} if message.tool_call_id is not None else turn


def _arguments(text: str) -> dict[str, Any]:
    """The arguments as an object, which these providers insist on; what is none stands under a name of its own."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": text}
