"""A long conversation: its beginning stays for many questions, so that a provider has it cached; and a smaller model."""

from llmapp.prompting import Assembler, Message, counter_for

assembler = Assembler(counter_for("openai:gpt-4o"), budget_tokens=4_000, reserve_output_tokens=500, history_share=0.5)
history: list[Message] = []
begins, moves = "", 0
for number in range(100):
    prompt = assembler.assemble(f"Question {number}?", [], history=history)
    first = prompt.messages[1].content if history else ""
    moves += bool(begins) and first != begins
    begins = first
    history += [Message("user", f"Question {number}?"), Message("assistant", f"Answer {number}: " + "so it is. " * 20)]

print(f"100 questions, the conversation began elsewhere {moves} times")
print(f"the same for every question: {prompt.report.static_prefix_tokens} tokens")
print(
    f"for the next question of the conversation: {prompt.report.reusable_prefix_tokens} of {prompt.report.used_tokens} tokens"
)
print(*prompt.notes)

small = assembler.for_model(counter_for("openai:gpt-3.5-turbo"), reserve_output_tokens=300, context_window_tokens=1_500)
again = small.assemble("Question 99?", [], history=history)
print(f"made anew for a smaller model: {again.report.used_tokens} of {again.report.budget_tokens} tokens")
