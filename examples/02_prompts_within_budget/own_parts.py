"""The allocator alone, with sections and parts of your own: it chooses, you render, and the count of what you render decides."""

from collections.abc import Sequence

from llmapp.prompting import Item, Section, allocate, counter_for

count = counter_for("openai:gpt-4o").count
TEXTS = {
    "rules": ["Write tests first."],
    "files": [f"def function_{n}():\n    return {n}\n" * 6 for n in range(12)],
    "errors": ["TypeError: unsupported operand", "KeyError: 'name'"],
}
SECTIONS = [
    Section("rules", tier=1),
    Section("errors", tier=1, min_tokens=5),
    Section("files", tier=2, max_share=0.8),
]
items = [
    Item(id=f"{name} {n}", section=name, tokens=count(text), text=text, pinned=name == "rules")
    for name, texts in TEXTS.items()
    for n, text in enumerate(texts)
]


def rendered(kept: Sequence[Item]) -> str:
    return "\n\n".join(item.text or "" for item in kept)


chosen = allocate(items, sections=SECTIONS, budget_tokens=400, count_request=lambda kept: count(rendered(kept)))
print(f"{chosen.used_tokens} of 400 tokens, counted {chosen.counts} times")
for share in chosen.sections:
    print(f"{share.name:8} asked {share.asked_tokens:5}, got {share.got_tokens:5}")
for decision in chosen.dropped:
    print(f"{decision.item:8} {decision.reason}")
