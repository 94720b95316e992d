"""Memory that one large text takes, in a process of its own: a few times its size, whatever the number of its chunks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TEXT_BYTES = 30_000_000
MOST_TIMES = 4.5
"""The text itself, what SQLite copies of it twice, and the fixed cost of a batch; measured: 3.8."""

INGEST = """
import json, sys
from pathlib import Path

from llmapp.catalog.catalog import Catalog
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.testing.fakes import HashEmbedder
from llmapp_connectors.files import Files


def held_bytes(mark):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(mark)).split()[1]) << 10


folder, database = map(Path, sys.argv[1:])
embedder = HashEmbedder(max_tokens=2048)
embedder.embedded = type("Nothing", (), {"extend": lambda self, texts: None})()
chunker = StructureChunker(embedder.tokenizer, chunk_tokens(embedder))
ingestor = Ingestor(Catalog(database), ProcessParser(), chunker, embedder)
before = held_bytes("VmRSS")
report = ingestor.run("texts", Files(path=folder), default_acl=("public",))
print(json.dumps({"grown": held_bytes("VmHWM") - before, "chunks": report.chunks, "bytes": report.bytes}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_a_large_text_takes_a_few_times_its_size(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    with (folder / "large.txt").open("w") as file:
        for number in range(TEXT_BYTES // 6000):
            file.write(" ".join(f"{number:08}-{word}-{'x' * 588}" for word in range(10)) + "\n\n")
    command = [sys.executable, "-c", INGEST, str(folder), str(tmp_path / "catalog.db")]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert done["chunks"] > 1000
    assert done["bytes"] > TEXT_BYTES * 0.99
    assert done["grown"] < MOST_TIMES * TEXT_BYTES
