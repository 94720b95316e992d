"""Ask the documents of this folder a question, in ten lines."""

from pathlib import Path

from llmapp import open_app

with open_app(Path(__file__).parent) as app:
    app.ingest()
    answer = app.ask("Within how many days must water damage be reported under the Home Policy 2025?")

print(answer.text)
for citation in answer.citations:
    print(f"[{citation.number}] {citation.title}, page {citation.page}: {citation.quote!r}")
print(f"cost ${answer.cost_usd:.6f}, {answer.timings_s['total']:.2f} s")
