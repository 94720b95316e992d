"""The real package with a tiny model of random weights, made here: no download."""

import numpy as np
import pytest

from llmapp.errors import RerankerError
from llmapp.retrieval.ranking.cross_encoder import CrossEncoderScorer

PASSAGES = ["water damage", "fire and theft", "leave of absence"]


def save_model(folder, labels):
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = sorted({word for passage in PASSAGES for word in passage.split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=labels,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"), labels=1)


@pytest.mark.filterwarnings("ignore")
def test_it_scores_as_the_bare_model_does(model):
    from sentence_transformers import CrossEncoder

    scores = CrossEncoderScorer(model).score("water theft", PASSAGES).scores
    bare = CrossEncoder(model).predict([("water theft", passage) for passage in PASSAGES], show_progress_bar=False)
    assert scores == pytest.approx(bare.tolist())
    assert len(set(np.round(scores, 6))) == 3


@pytest.mark.filterwarnings("ignore")
def test_a_passage_that_does_not_fit_is_cut(model):
    assert len(CrossEncoderScorer(model).score("water", ["fire " * 5_000, "fire"]).scores) == 2


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_several_labels_is_no_reranker(tmp_path):
    with pytest.raises(RerankerError, match="no reranker"):
        CrossEncoderScorer(save_model(tmp_path, labels=3)).score("q", PASSAGES)


@pytest.mark.filterwarnings("ignore")
def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(RerankerError, match="cannot be loaded"):
        CrossEncoderScorer(str(tmp_path)).score("q", PASSAGES)


@pytest.mark.filterwarnings("ignore")
def test_a_load_that_failed_is_not_tried_again_for_a_while(tmp_path, monkeypatch):
    import sentence_transformers

    tried = []

    def load(name):
        tried.append(name)
        raise OSError("the hub does not answer")

    monkeypatch.setattr(sentence_transformers, "CrossEncoder", load)
    patient, hasty = CrossEncoderScorer("a/b"), CrossEncoderScorer("a/b", try_again_s=0)
    for scorer in (patient, patient, hasty, hasty):
        with pytest.raises(RerankerError, match="cannot be loaded: OSError"):
            scorer.score("q", PASSAGES)
    assert len(tried) == 1 + 2


@pytest.mark.filterwarnings("ignore")
def test_a_load_is_tried_again_after_that(model, monkeypatch):
    import sentence_transformers

    def load(name):
        raise OSError("the hub does not answer")

    scorer = CrossEncoderScorer(model, try_again_s=0)
    with monkeypatch.context() as patch:
        patch.setattr(sentence_transformers, "CrossEncoder", load)
        with pytest.raises(RerankerError):
            scorer.score("q", PASSAGES)
    assert len(scorer.score("q", PASSAGES).scores) == 3
