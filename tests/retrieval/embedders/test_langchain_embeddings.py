from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from pydantic import SecretStr

from llmapp import open_app
from llmapp.errors import ConfigError, EmbedderError, EmbedderUnavailableError
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.retrieval.embedders.langchain_embeddings import langchain_embedder

FAKE = "langchain:langchain_core.embeddings:DeterministicFakeEmbedding"


def build(name=FAKE, **options):
    return build_embedder(name, EmbedderOptions(**{"dimensions": 12, **options}), root=Path())


def test_a_class_is_made_from_its_name_and_the_settings():
    found = build(settings={"size": 12}).embed_documents(["a", "b"])
    theirs = np.array(DeterministicFakeEmbedding(size=12).embed_documents(["a", "b"]))
    assert np.allclose(found, theirs / np.linalg.norm(theirs, axis=1, keepdims=True), atol=1e-6)
    assert build(settings={"size": 12}, document_prompt="x ").embed_documents(["a"]) is not None


def test_a_package_of_a_provider_is_used_as_it_is(server):
    pytest.importorskip("langchain_openai")
    embedder = build(
        "langchain:langchain_openai:OpenAIEmbeddings",
        dimensions=24,
        settings={
            "base_url": server.url,
            "model": "m",
            "check_embedding_ctx_length": False,
            "api_key": "sesame",
            "max_retries": 0,
        },
    )
    assert np.allclose(embedder.embed_documents(["water damage"]), server.model.embed_documents(["water damage"]), atol=1e-6)
    server.answers = [(429, {}, {"error": {"message": "later"}})]
    with pytest.raises(EmbedderUnavailableError, match="RateLimitError"):
        embedder.embed_query("a")
    server.answers = [(400, {}, {"error": {"message": "never"}})]
    with pytest.raises(EmbedderError) as caught:
        embedder.embed_query("a")
    assert not caught.value.retryable


class Lying(Embeddings):
    def embed_documents(self, texts):
        return [[1.0, 2.0]] * (len(texts) - 1)

    def embed_query(self, text):
        raise RuntimeError(text)


def test_an_object_is_handed_to_the_python_api_and_is_priced_by_its_name(tmp_path):
    (tmp_path / "llmapp.toml").write_text('[prices."mine@1/12d/512t/prompts-6e340b9c/unit"]\ninput_usd_per_million = 0\n')
    (tmp_path / "note.md").write_text("Glass has a deductible of 150.")
    mine = langchain_embedder(DeterministicFakeEmbedding(size=12), name="mine@1", dimensions=12)
    with open_app(tmp_path, embedder=mine) as app:
        app.ingest([tmp_path / "note.md"])
        assert app.status().embedder == mine.identity
        assert app.search("glass")


def test_an_object_that_does_what_it_likes_is_a_typed_error():
    embedder = langchain_embedder(Lying(), name="lying", dimensions=2)
    with pytest.raises(EmbedderError, match="1 vectors for 2 texts"):
        embedder.embed_documents(["a", "b"])
    with pytest.raises(EmbedderError, match="the embedder failed: RuntimeError: why"):
        embedder.embed_query("why")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"name": ""}, "has no name"),
        ({"name": " \n"}, "has no name"),
        ({"dimensions": 0}, "dimensions is 0"),
        ({"dimensions": -1}, "dimensions is -1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": -512}, "max_tokens is -512"),
    ],
)
def test_an_object_is_not_taken_without_a_name_or_with_numbers_that_no_model_has(wrong, match):
    given = {"name": "mine@1", "dimensions": 12, **wrong}
    with pytest.raises(ConfigError, match=match) as caught:
        langchain_embedder(DeterministicFakeEmbedding(size=12), **given)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("langchain:absent.module:Class", {}, "cannot be imported"),
        ("langchain:langchain_core.embeddings", {}, "cannot be imported"),
        ("langchain:langchain_core.embeddings:Absent", {}, "cannot be imported"),
        (FAKE, {"settings": {"sze": 12}}, "cannot be made: ValidationError"),
        ("langchain:pathlib:Path", {}, "none of LangChain's embeddings"),
        (FAKE, {"settings": {"size": 12}, "dimensions": None}, "length of the vectors"),
    ],
)
def test_a_class_that_cannot_be_used_is_a_typed_error(name, options, match):
    with pytest.raises(ConfigError, match=match):
        build(name, **options)


def test_settings_are_part_of_the_identity_and_secrets_are_not():
    def identity(**settings):
        options = EmbedderOptions(dimensions=12).model_copy(update={"settings": {"size": 12, **settings}})
        return build_embedder("langchain:retrieval_test_embeddings:Any", options, root=Path()).identity

    import sys
    from types import ModuleType

    module = ModuleType("retrieval_test_embeddings")
    module.Any = lambda **_: DeterministicFakeEmbedding(size=12)
    sys.modules[module.__name__] = module
    assert identity(key=SecretStr("a")) == identity(key=SecretStr("b"))
    assert identity(model="a") != identity(model="b")
