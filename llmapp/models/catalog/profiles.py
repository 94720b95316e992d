"""The profiles of models that LangChain's provider packages carry, from https://models.dev (MIT).

A package is not imported for them, which would take a second, and a built model would need a key: they are one literal in one
file, ``data/_profiles.py``, and it is read as such. A package that has none, or another form, has no profiles.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PACKAGES = {
    "anthropic": "langchain_anthropic",
    "azure_openai": "langchain_openai",
    "bedrock": "langchain_aws",
    "bedrock_converse": "langchain_aws",
    "deepseek": "langchain_deepseek",
    "fireworks": "langchain_fireworks",
    "google_genai": "langchain_google_genai",
    "google_vertexai": "langchain_google_vertexai",
    "groq": "langchain_groq",
    "mistralai": "langchain_mistralai",
    "openai": "langchain_openai",
    "openrouter": "langchain_openrouter",
    "perplexity": "langchain_perplexity",
    "together": "langchain_together",
    "xai": "langchain_xai",
}
"""Packages by the provider's name in LangChain; those that are not installed are as good as absent."""
_DATED = re.compile(r"-\d{4}-\d\d-\d\d$|-\d{8}$")
Profile = Mapping[str, Any]


def profile_of(provider: str, name: str) -> tuple[Profile, str]:
    """What the provider's package says of a model, or of the one that its dated name is a version of; and where it is from."""
    found = profiles_of(provider)
    profile = found.get(name) or found.get(_DATED.sub("", name))
    return (profile, _source(_PACKAGES[provider])) if profile else ({}, "")


@cache
def profiles_of(provider: str) -> Mapping[str, Profile]:
    """The profiles by the model's name; none where the package is not installed or has none."""
    spec = find_spec(_PACKAGES[provider]) if provider in _PACKAGES else None
    if spec is None or spec.origin is None:
        return {}
    with suppress(OSError, SyntaxError, ValueError):
        for line in ast.parse((Path(spec.origin).parent / "data/_profiles.py").read_text(encoding="utf-8")).body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Dict):
                return {str(name): profile for name, profile in ast.literal_eval(line.value).items() if profile.get("name")}
    return {}


def _source(package: str) -> str:
    try:
        return f"{package.replace('_', '-')} {version(package)}, from models.dev"
    except PackageNotFoundError:
        return package
