"""Sources within a budget: overlapping chunks once, the last one cut at the end of a sentence, and a report of all of it."""

from llmapp.prompting import Assembler, Chunk, Hit, counter_for

HANDBOOK = (
    "Water damage is reported within 72 hours. The deductible is 300 euros. Glass is covered up to 500 euros. "
    "Storm damage counts from wind force 8. Below that nothing is paid. The claim needs a photograph of each room. "
    "Bicycles are covered when they were locked. The limit for a bicycle is 1,000 euros. Batteries belong to them. "
) * 2


def hit(rank: int, start: int, end: int) -> Hit:
    chunk = Chunk(f"chunk-{rank}", "docs", "handbook", "handbook.md", "Claims handbook", HANDBOOK[start:end], start, end)
    return Hit(chunk, score=1 / rank, rank=rank, retriever="mine")


assembler = Assembler(counter_for("openai:gpt-4o"), budget_tokens=520, reserve_output_tokens=300)
prompt = assembler.assemble(
    "When is water damage reported?", [hit(1, 0, 215), hit(2, 106, 326), hit(3, 326, 660)], measure=True
)

for part in prompt.report.decisions:
    print(f"{part.item:24} {part.outcome:8} {part.reason:8} {part.tokens:5} alone {part.placed_tokens or 0:5} in place")
print(f"{prompt.report.used_tokens} of {prompt.report.budget_tokens} tokens, exact: {prompt.report.is_exact}")
for source in prompt.sources:
    span = slice(source.chunk.start_char, source.chunk.end_char)
    print(
        f"[{source.number}] {source.chunk.uri} {span.start}-{span.stop}, as it stands there: {HANDBOOK[span] == source.chunk.text}"
    )
