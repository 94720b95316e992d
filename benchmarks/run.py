"""All benchmarks, one after the other: `make bench`. Name some to run only these, e.g. `python benchmarks/run.py ingest_rate`.

Speeds are ratios within one run, against the bare part on the same input: machines differ, ratios less.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {"run", "evaluation_data", "pages", "scale_corpus", "tiny_gguf", "token_texts"}
"""What others are made of."""


def main() -> int:
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if path.stem not in PARTS)
    worst = 0
    for name in names:
        print(f"\n── {name} " + "─" * max(0, 100 - len(name)), flush=True)
        worst = max(worst, subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
