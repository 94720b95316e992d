"""Tools as OpenAI's models read them: JSON Schema rewritten as TypeScript.

The form is not published for the API; it is known from counts that others have measured (hmarr/openai-chat-tokens) and from
the format of gpt-oss, which is (openai/harmony). What a schema says beyond it (``minimum``, ``pattern``, ``$defs`` …) is
added as JSON, so that the text is never shorter than what the model reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmapp.types import Tool

_RENDERED = frozenset(
    {"type", "description", "properties", "required", "enum", "items", "anyOf", "oneOf", "default", "title", "const"}
)
_NAMES = {"integer": "number", "array": "any[]"}


def tools_text(tools: Sequence[Tool]) -> str:
    """The tools as one TypeScript namespace, in their order."""
    parts = (_tool(tool) for tool in tools)
    return "\n".join(["# Tools", "", "## functions", "", "namespace functions {", "", *parts, "} // namespace functions"])


def _tool(tool: Tool) -> str:
    schema = tool.parameters
    comment = _comment(tool.description) + _rest(schema)
    fields = _fields(schema)
    parameters = f"(_: {{\n{fields}}})" if fields else "()"
    return f"{comment}type {tool.name} = {parameters} => any;\n"


def _fields(schema: Mapping[str, Any]) -> str:
    """A line for each property, its comments above it."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return ""
    needed = required if isinstance(required, Sequence) else ()
    return "".join(_field(name, value, is_required=name in needed) for name, value in properties.items())


def _field(name: str, schema: Any, *, is_required: bool) -> str:
    if not isinstance(schema, Mapping):
        return f"{name}: {_json(schema)},\n"
    comment = _comment(schema.get("title")) + _comment(schema.get("description")) + _rest(schema)
    default = f" // default: {_json(schema['default'])}" if "default" in schema else ""
    return f"{comment}{name}{'' if is_required else '?'}: {_type(schema)},{default}\n"


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return _json(schema)
    if choices := _choices(schema):
        return " | ".join(choices)
    if fields := _fields(schema):
        return f"{{\n{fields}}}"
    kind = str(schema.get("type", "any"))
    if kind == "array" and "items" in schema:
        return f"{_described(schema['items'])}[]"
    return _NAMES.get(kind, kind)


def _choices(schema: Mapping[str, Any]) -> list[str]:
    """The types or values that it leaves open; empty where it is one type."""
    if "const" in schema:
        return [_json(schema["const"])]
    if isinstance(values := schema.get("enum"), list):
        return [_json(value) for value in values]
    if isinstance(schemas := schema.get("anyOf") or schema.get("oneOf"), list):
        return [_described(each) for each in schemas]
    kinds = schema.get("type")
    return [_type({**schema, "type": kind}) for kind in kinds] if isinstance(kinds, list) else []


def _described(schema: Any) -> str:
    """A type within another, with what is said of it."""
    if not isinstance(schema, Mapping):
        return _type(schema)
    return _comment(schema.get("title")) + _comment(schema.get("description")) + _rest(schema) + _type(schema)


def _comment(text: Any) -> str:
    return f"// {text}\n" if text else ""


def _rest(schema: Mapping[str, Any]) -> str:
    """What has no place in the types."""
    rest = {key: value for key, value in schema.items() if key not in _RENDERED}
    return _comment(_json(rest)) if rest else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
