"""Kills an ingest at every named commit point and at random moments, runs it again, and tells what was wrong.

Everything is loaded once; then each try is a fork of this process, which itself has neither threads nor open files. A commit
point is a public method of the catalog that writes; it is killed before its transaction, within, and right after it.
"""

import importlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nightly
from nightly import Act, documents, faults_of_files, read_bill, state

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.sqlite import SQLiteDatabase
from llmapp.ingestion.embedding_text import _key

MOMENTS = ("before", "within", "after")
RANDOM_KILLS = 40
LIMIT_S = 60
"""A try that takes longer hangs."""


# ---------------------------------------------------------------- where it can be killed


def commit_points() -> list[str]:
    """The public methods of the catalog that write, and its opening, which makes the tables."""
    return ["open", *(name for name in dir(Catalog) if not name.startswith("_") and _writes(name))]


def _writes(name: str) -> bool:
    code = getattr(getattr(Catalog, name, None), "__code__", None)
    names = set(code.co_names) if code else set()
    inner = (each for each in names if each.startswith("_") and each != name and hasattr(Catalog, each))
    return bool(names & {"transaction", "compact"}) or any(map(_writes, inner))


class Watch:
    """Told of every moment of every commit point; dies at the one it was given."""

    def __init__(self, target: tuple[str, str, int] | None = None):
        self.target = target
        self.calls: Counter[tuple[str, str]] = Counter()
        self._point = threading.local()
        self._counting = threading.Lock()

    def install(self) -> None:
        for name in commit_points()[1:]:
            setattr(Catalog, name, self._named(name, getattr(Catalog, name)))
        SQLiteDatabase.transaction = self._watched(SQLiteDatabase.transaction)
        compact = SQLiteDatabase.compact
        SQLiteDatabase.compact = lambda database: (self.reach("before"), compact(database), self.reach("after"))[1]

    def reach(self, moment: str) -> None:
        point = getattr(self._point, "name", None) or "open"
        with self._counting:
            self.calls[point, moment] += 1
            if self.target == (point, moment, self.calls[point, moment]):
                os.kill(os.getpid(), signal.SIGKILL)

    def _named(self, name, method):
        def within(*args, **kwargs):
            outer = getattr(self._point, "name", None)
            self._point.name = outer or name
            try:
                return method(*args, **kwargs)
            finally:
                self._point.name = outer

        return within

    def _watched(self, original):
        @contextmanager
        def transaction(database):
            if database.path.name != "catalog.db":
                with original(database) as connection:
                    yield connection
                return
            self.reach("before")
            with original(database) as connection:
                yield connection
                self.reach("within")
            self.reach("after")

        return transaction


# ---------------------------------------------------------------- processes


class FailedError(Exception):
    """Something went wrong in a child, or it hung."""


def in_child(work: Callable[[], object], *, kill_after_s: float | None = None) -> object:
    """What `work` gives in a process of its own; None when that was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(LIMIT_S)
        try:
            told = {"result": work()}
        except BaseException:  # noqa: BLE001 - told to the parent
            told = {"error": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            json.dump(told, pipe)
        os._exit(0)
    os.close(writer)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise FailedError(f"ended by signal {os.WTERMSIG(status)}")
        return None
    told = json.loads(answer)
    if "error" in told:
        raise FailedError(told["error"])
    return told["result"]


# ---------------------------------------------------------------- one act


@dataclass
class Stage:
    """An act with its folders, and what it is to come to."""

    act: Act
    start: Path
    before: dict
    after: dict
    expected: dict
    calls: dict[tuple[str, str], int]
    seconds: float

    def lay_out(self, root: Path) -> Path:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.start, root)
        return root

    def play(self, root: Path, watch: Watch | None = None) -> dict:
        if watch:
            watch.install()
        with self.act.scene.open(root) as app:
            self.act.play(app)
            found = state(app)
        return {**found, "gone": not nightly.files_with(root, self.act.gone)}


def _play_before(act: Act, root: Path) -> None:
    if act.before is None:
        return
    scene, batches = act.before
    with scene.open(root, batches=batches) as app:
        try:
            nightly.sync(app)
        except nightly.EmbedderError:
            return
    raise FailedError("the embedder was to fail")


def _fresh(act: Act, root: Path) -> str:
    root.mkdir()
    with act.scene.open(root) as app:
        nightly.sync(app)
        return app.catalog.digest()


def rehearse(folder: Path) -> list[Stage]:
    """Play the history once without a kill: what every act begins with, what it comes to, and what it calls."""
    stages, start = [], folder / "0"
    start.mkdir(parents=True)
    _load_all(folder)
    for number, act in enumerate(nightly.history(), start=1):
        in_child(lambda act=act, start=start: _prepare(act, start))
        end = folder / str(number)
        shutil.copytree(start, end)
        stage = Stage(act, start, documents_of(start), {}, {}, {}, 0.0)
        started = time.perf_counter()
        stage.expected, calls = in_child(lambda stage=stage, end=end: _recorded(stage, end))
        stage.seconds = time.perf_counter() - started
        stage.calls = {(point, moment): count for point, moment, count in calls}
        stage.after = documents_of(end)
        fresh = in_child(lambda act=act, root=folder / f"fresh{number}": _fresh(act, root))
        if (
            stage.expected["digest"] != fresh
            or stage.expected["leftovers"]
            or not stage.expected["index"]
            or not stage.expected["gone"]
        ):
            raise FailedError(f"{act.name}: not even without a kill")
        stages.append(stage)
        start = end
    return stages


def _load_all(folder: Path) -> None:
    """Import whatever a sync imports on its way, so that no child has to."""

    def names():
        (folder / "all").mkdir()
        with nightly.history()[0].scene.open(folder / "all") as app:
            nightly.sync(app)
            nightly.clean_up(app)
            state(app)
        return [name for name in sys.modules if name.startswith("llmapp")]

    for name in in_child(names):
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise FailedError("a fork would lose a thread")


def _prepare(act: Act, root: Path) -> None:
    if act.play is nightly.clean_up:
        with act.scene.open(root) as app:
            app.purge("feed:d20")
    _play_before(act, root)
    (root / "bill").unlink(missing_ok=True)


def _recorded(stage: Stage, root: Path):
    watch = Watch()
    result = stage.play(root, watch)
    return result, [(*key, count) for key, count in watch.calls.items()]


def documents_of(root: Path) -> dict:
    if not (root / ".llmapp/catalog.db").exists():
        return {}
    return in_child(lambda: _written(root))


def _written(root: Path) -> dict:
    return {name: [content, list(grants)] for name, (content, grants) in documents(root).items()}


# ---------------------------------------------------------------- after a kill


def faults_after_kill(stage: Stage, root: Path) -> list[str]:
    """What is not whole in the files as the kill left them."""
    if not nightly.has_tables(root):
        return []
    faults = faults_of_files(root)
    found, sides = _written(root), set()
    for name, (content, grants) in found.items():
        versions = [each[name] for each in (stage.before, stage.after) if name in each]
        if content not in [version[0] for version in versions]:
            faults.append(f"{name} is neither the old nor the new one")
        allowed = [*(version[1] for version in versions), stage.act.scene.acl]
        if not any(set(grants) <= set(each) for each in allowed):
            faults.append(f"{name} is readable by {grants}")
        if len(versions) == 2 and versions[0][0] != versions[1][0]:
            sides.add(content == versions[1][0])
    faults += [f"{name} is lost" for name in stage.before.keys() & stage.after.keys() - found.keys()]
    if stage.act.keeps_texts and len(sides) > 1:
        faults.append("some documents have new chunks, some old ones")
    return faults


def unpaid(stage: Stage, root: Path) -> set[str]:
    """Texts that may be paid for again: of the last batch alone, and only where it did not come into the catalog."""
    bill = read_bill(root / "bill")
    if not bill:
        return set()
    with closing(Catalog(root / ".llmapp/catalog.db")) as catalog, stage.act.scene.open(root) as app:
        keys = {text: _key(text, app.embedder) for text in bill[-1]}
        known = catalog.known_embeddings(keys.values())
        return {text for text, key in keys.items() if key not in known}


def rerun(stage: Stage, root: Path) -> list[str]:
    """Look at what a kill has left, play the act again, and compare."""
    faults = faults_after_kill(stage, root)
    free, paid = unpaid(stage, root), {text for call in read_bill(root / "bill") for text in call}
    (root / "bill").unlink(missing_ok=True)
    found = stage.play(root)
    twice = paid & {text for call in read_bill(root / "bill") for text in call}
    if twice - free:
        faults.append(f"paid twice: {sorted(twice - free)[:2]}")
    return faults + [f"{key}: {found[key]}" for key, value in stage.expected.items() if found[key] != value]


# ---------------------------------------------------------------- all of it


def at_points(stages: list[Stage], folder: Path, report: dict) -> None:
    """Kill every act at the first and the last call of each point, at each moment."""
    for stage in stages:
        for (point, moment), count in sorted(stage.calls.items()):
            for nth in sorted({1, count}):
                root = stage.lay_out(folder / "try")
                where = f"{stage.act.name}: {moment} {point}, call {nth} of {count}"
                try:
                    if in_child(lambda s=stage, r=root, w=(point, moment, nth): s.play(r, Watch(w))) is not None:
                        report["missed"].append(where)
                        continue
                    report["kills"].setdefault(point, []).append(moment)
                    report["faults"] += [f"{where}: {fault}" for fault in in_child(lambda s=stage, r=root: rerun(s, r))]
                except FailedError as error:
                    report["faults"].append(f"{where}: {error}")


def at_random(stages: list[Stage], folder: Path, report: dict, chance: random.Random) -> None:
    """Kill an act three times in a row at any time, then let it come to its end."""
    while report["random_kills"] < RANDOM_KILLS:
        stage = chance.choice(stages)
        root = stage.lay_out(folder / "try")
        moments = [chance.uniform(0, 1) * stage.seconds for _ in range(3)]
        where = f"{stage.act.name}: killed after {', '.join(f'{s:.3f} s' for s in moments)}"
        try:
            for kill_after_s in moments:
                if in_child(lambda s=stage, r=root: s.play(r), kill_after_s=kill_after_s) is None:
                    report["random_kills"] += 1
                    report["faults"] += [
                        f"{where}: {fault}" for fault in in_child(lambda s=stage, r=root: faults_after_kill(s, r))
                    ]
            (root / "bill").unlink(missing_ok=True)  # what three kills may cost is not told by the last batch
            report["faults"] += [f"{where}: {fault}" for fault in in_child(lambda s=stage, r=root: rerun(s, r))]
        except FailedError as error:
            report["faults"].append(f"{where}: {error}")


def main(folder: Path, seed: int) -> dict:
    report = {"seed": seed, "points": commit_points(), "kills": {}, "missed": [], "faults": [], "random_kills": 0}
    started = time.perf_counter()
    stages = rehearse(folder)
    report["rehearsed_s"] = time.perf_counter() - started
    at_points(stages, folder, report)
    report["points_s"] = time.perf_counter() - started
    at_random(stages, folder, report, random.Random(seed))
    report["all_s"] = time.perf_counter() - started
    return report


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout, indent=1)
