"""Token counters: what a text and what a whole request cost the model that reads them.

A count is the proof that a prompt fits, so every counter counts the whole request: contents, tool calls, tools, and the
frame that the provider puts around each message. Text that spells a special token (``<|endoftext|>``) counts as the model
would read it. Lone surrogates, which nobody can send, count as U+FFFD. Knows nothing of prompts and of context windows.
"""

from llmapp.prompting.counting.choice import counter_for, counter_of
from llmapp.prompting.counting.corrected import CorrectedCounter
from llmapp.prompting.counting.estimate import EstimateCounter
from llmapp.prompting.counting.gguf import GgufCounter
from llmapp.prompting.counting.huggingface import HuggingFaceCounter
from llmapp.prompting.counting.openai import BpeCounter
from llmapp.prompting.counting.provider import CountRequest, ProviderCounter
from llmapp.prompting.counting.text import well_formed

__all__ = [
    "BpeCounter",
    "CorrectedCounter",
    "CountRequest",
    "EstimateCounter",
    "GgufCounter",
    "HuggingFaceCounter",
    "ProviderCounter",
    "counter_for",
    "counter_of",
    "well_formed",
]
