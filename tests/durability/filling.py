"""Syncs into a disk that fills up, looks at what is there, makes room and syncs again; tells what was wrong.

Called with an empty folder and a kind: ``tmpfs`` (the folder is one, and root remounts it with another size), ``chroma`` (the
same, with the real vector index) or ``rlimit`` (no file may grow beyond a size; needs no root).
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nightly
from nightly import Act, documents, faults_of_files, has_tables, read_bill, state

from llmapp.errors import CatalogError, CostError
from llmapp.retrieval.indexes.chroma import embedded

LIMIT_S = 60
"""An attempt that takes longer hangs: the process ends by a signal."""
KIB = 1024
SPARE_BYTES = embedded._SPARE_DISK_BYTES
GROWING = [int(4 * KIB * 1.5**step) for step in range(20)]
SIZES = {
    "tmpfs": GROWING,
    "rlimit": GROWING,
    "chroma": [3 << 20, *(4 * 2**20 + step * 64 * KIB for step in range(24)), 48 << 20],
}
"""What may still be written, or how large a file may be. Bytes."""


@contextmanager
def little_room(folder: Path, kind: str, size_bytes: int) -> Iterator[None]:
    """Inside, no more than this fits in; afterwards there is room."""
    if kind == "rlimit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return
    room = os.statvfs(folder)
    used_bytes = (room.f_blocks - room.f_bfree) * room.f_frsize
    subprocess.run(["mount", "-o", f"remount,size={max(used_bytes + size_bytes, 4 * KIB)}", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,size=512m", str(folder)], check=True)


class Trial:
    """One act on a disk that fills up."""

    def __init__(self, act: Act, start: Path, folder: Path, kind: str, bill: Path):
        self.act, self.start, self.folder, self.kind, self.bill = act, start, folder, kind, bill
        self.root = folder / "app"
        self.before = _contents(start)
        shutil.copytree(start, self.root)
        self.expected = self._play()
        self.after = _contents(self.root)

    def run(self, size_bytes: int) -> dict:
        shutil.rmtree(self.root)
        shutil.copytree(self.start, self.root)
        self.bill.unlink(missing_ok=True)
        started = time.perf_counter()
        with little_room(self.folder, self.kind, size_bytes):
            error = self._attempt()
        seconds = time.perf_counter() - started
        faults, paid = self._faults(), read_bill(self.bill)
        self.bill.unlink(missing_ok=True)
        found = self._play()
        faults += [f"{key}: {found[key]}" for key, value in self.expected.items() if found[key] != value]
        texts = {text for call in paid[:-1] for text in call}  # the last batch is the one that did not fit in
        faults += [f"paid twice: {text}" for call in read_bill(self.bill) for text in call if text in texts]
        return {"act": self.act.name, "size_bytes": size_bytes, "error": error, "seconds": seconds, "faults": faults}

    def _attempt(self) -> str | None:
        """Play the act; what ended it, which must be an error of ours that helps."""
        try:
            with self._open() as app:
                self.act.play(app)
                return app.projection.failure
        except (CatalogError, CostError) as error:  # the ledger is a file as well
            return f"{error.message} ({error.hint})"

    def _faults(self) -> list[str]:
        faults = faults_of_files(self.root) if has_tables(self.root) else []
        found = _contents(self.root)
        faults += [f"{name} is neither the old nor the new one" for name, content in found.items()
                   if content not in {self.before.get(name), self.after.get(name)}]  # fmt: skip
        return faults + [f"{name} is lost" for name in self.before.keys() & self.after.keys() - found.keys()]

    def _open(self):
        index = embedded.ChromaIndex(self.root / ".llmapp/chroma", read_deadline_s=5, write_deadline_s=5)
        return self.act.scene.open(self.root, bill=self.bill, index=index if self.kind == "chroma" else None)

    def _play(self) -> dict:
        with self._open() as app:
            self.act.play(app)
            return state(app)


def _contents(root: Path) -> dict[str, str]:
    return {name: content for name, (content, _) in documents(root).items()} if has_tables(root) else {}


def main(folder: Path, kind: str) -> list[dict]:
    results = []
    with tempfile.TemporaryDirectory() as elsewhere:
        start, bill = Path(elsewhere) / "start", Path(elsewhere) / "bill"
        start.mkdir()
        for act in nightly.history()[: 1 if kind == "chroma" else 4]:
            if act.before is None:
                trial = Trial(act, start, folder, kind, bill)
                for size_bytes in SIZES[kind]:
                    signal.alarm(LIMIT_S)
                    # Chroma's own guard would not let it come so far.
                    embedded._SPARE_DISK_BYTES = SPARE_BYTES if size_bytes > 16 * 1024 * KIB else 0
                    results.append(trial.run(size_bytes))
                shutil.rmtree(start)
                shutil.copytree(trial.root, start)
                shutil.rmtree(trial.root)
    return results


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), sys.argv[2]), sys.stdout, indent=1)
