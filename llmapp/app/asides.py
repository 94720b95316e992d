"""What the chat model is asked on the way to an answer: a ranking, other wordings.

It is guarded as the answer itself, and what it takes is counted with the answer's.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel

from llmapp.app.langchain_messages import to_langchain, to_usage
from llmapp.costs.spending import count
from llmapp.types import Message

_MOST_OUTPUT_TOKENS = 400
"""An order of 30 passages takes some 90, five wordings of a question some 200."""


class Aside:
    """Implements `llmapp.protocols.Complete` by a guarded chat model; safe among threads."""

    def __init__(self, model: BaseChatModel) -> None:
        """Ask this model, once for each call."""
        self._model = model

    def __call__(self, messages: Sequence[Message]) -> str:
        """What it writes, whole.

        Raises:
            ModelError: The model cannot be called.
            CostError: The call could pass a budget, or has no price.
        """
        reply = self._model.invoke(to_langchain(messages), max_tokens=_MOST_OUTPUT_TOKENS)
        nano_usd = int(reply.response_metadata.get("llmapp", {}).get("cost_nano_usd", 0))
        count(nano_usd, to_usage(reply.usage_metadata))
        return str(reply.text)
