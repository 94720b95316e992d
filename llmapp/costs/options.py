"""What a caller may ask of a guarded call: only what changes neither the price nor the bound of the call.

It is a list of what is allowed, for every model, the free ones included: an unknown keyword may name another model, a
dearer tier, more answers, or input that nobody has counted. Whoever needs one builds a model with it, under a name that is
priced. Not on the list because they never come here: LangChain hands ``stop`` over by itself and keeps
``ls_structured_output_format`` back.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmapp.errors import CostError

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
"""Names that packages give to the limit of an answer. The guard takes the smallest and sends its own."""

_ALLOWED = frozenset(
    {
        *OUTPUT_LIMITS,
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "format", "strict"),
        *("temperature", "top_p", "top_k", "seed", "n", "stream_usage"),
    }
)
"""The second line is what binding tools or structured output passes: langchain-openai 1.7.3, langchain-ollama 1.1.0 and the
agents of langchain 1.4.7, which give Ollama ``strict``."""


def check_options(options: Mapping[str, object]) -> None:
    """See that the keywords of a call leave its price and its bound as they are.

    Raises:
        CostError: One is not allowed; a tool is run, and charged, by the provider; or `n` is no number of answers.
    """
    if refused := options.keys() - _ALLOWED:
        raise CostError(
            f"a guarded call cannot set {', '.join(sorted(refused))}",
            hint="leave it out, or build another model with it, so that it is priced",
        )
    tools = options.get("tools") or ()
    if not isinstance(tools, (list, tuple)) or not all(_runs_here(tool) for tool in tools):
        raise CostError(
            "a guarded call cannot use tools that the provider runs: their cost cannot be bounded",
            hint="give functions only, through bind_tools",
        )
    answers = options.get("n")
    if answers is not None and not (isinstance(answers, int) and answers > 0):
        raise CostError(f"a guarded call cannot ask for n={answers!r} answers", hint="give a whole number above 0")


def _runs_here(tool: object) -> bool:
    """Whether it is a function of the caller's, as OpenAI describes one, or as Anthropic does, which gives no type."""
    return isinstance(tool, dict) and (tool.get("type") == "function" or ("type" not in tool and "input_schema" in tool))
