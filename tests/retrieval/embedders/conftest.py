"""Small real models, made here: BERT with random weights and a vocabulary of letters and some words."""

import string

import pytest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "passage", ":", "water", "damage", "deductible", "glass"]
LETTERS = [*string.ascii_lowercase, *string.digits, *(f"##{letter}" for letter in string.ascii_lowercase + string.digits)]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """make_model(name, seed=0, prompts=None, max_tokens=48): a folder with a sentence-transformers model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    def make(name, *, seed=0, prompts=None, max_tokens=48, pooling="mean"):
        home = tmp_path_factory.mktemp("models")
        base, folder = home / "base", home / name
        base.mkdir()
        (base / "vocab.txt").write_text("\n".join([*WORDS, *LETTERS]))
        torch.manual_seed(seed)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        config = BertConfig(vocab_size=len(WORDS) + len(LETTERS), max_position_embeddings=64, **shape)
        BertModel(config).save_pretrained(base)
        BertTokenizerFast(str(base / "vocab.txt")).save_pretrained(base)
        body = Transformer(str(base), max_seq_length=max_tokens)
        parts = [body, Pooling(body.get_embedding_dimension(), pooling_mode=pooling)]
        SentenceTransformer(modules=parts, device="cpu", prompts=prompts).save(str(folder))
        return folder

    return make


@pytest.fixture(scope="session")
def e5_like(make_model):
    """A model by whose name its prompts are known; it brings none itself."""
    return make_model("e5-small-v2")
