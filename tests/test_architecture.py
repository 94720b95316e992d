"""The tree keeps its shape."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llmapp

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*(ROOT / "llmapp").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")])
HEAVY = ("chromadb", "torch", "langchain", "langchain_core", "onnxruntime", "fastapi", "kreuzberg", "sentence_transformers")


def contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["importlinter"]["contracts"][0]["layers"]


def test_the_layer_table_is_that_of_the_contract():
    text = (ROOT / "architecture/README.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| (`[^|]*(?:\\\|[^|]*)*) \|", text, re.MULTILINE)
    table = [" | ".join(re.findall(r"`(\w+)`", cell)) for cell in first_cells]
    assert table == contract()


def test_every_module_stands_in_the_layers():
    named = {name for layer in contract() for name in layer.split(" | ")}
    found = {
        path.stem if path.is_file() else path.name for path in (ROOT / "llmapp").iterdir() if not path.name.startswith("_")
    }
    assert found - {"py", "py.typed", "templates"} == named


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_and_functions_are_short(path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= (150 if "connectors" in path.parts else 400)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
            if body:
                assert (node.end_lineno or 0) - body[0].lineno < 50, node.name


def test_no_module_has_a_name_that_says_nothing():
    forbidden = {"utils", "helpers", "common", "base", "manager", "misc"}
    assert not [path for path in MODULES if path.stem in forbidden or path.parent.name in forbidden]


@pytest.mark.parametrize(
    "code", ["import llmapp", "from llmapp.cli.main import app; app(['--help'], standalone_mode=False)"]
)
def test_nothing_heavy_is_imported_at_the_door(code):
    script = f"import sys\n{code}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout


def test_the_public_names_are_sorted_few_and_there():
    assert llmapp.__all__ == sorted(llmapp.__all__, key=lambda name: (name != name.upper(), not name[0].isupper(), name))
    assert len(llmapp.__all__) <= 35
    for name in llmapp.__all__:
        assert getattr(llmapp, name) is not None
    with pytest.raises(AttributeError):
        _ = llmapp.nothing_of_that_name


def test_the_shelf_of_connectors_is_no_package():
    assert not (ROOT / "connectors/__init__.py").exists()
