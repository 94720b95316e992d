import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from llmapp.errors import PromptError
from llmapp.prompting.counting import HuggingFaceCounter
from llmapp.types import Message


@pytest.fixture
def tokenizer_file(tmp_path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["water damage is reported within 72 hours"] * 3, trainer)
    tokenizer.enable_truncation(max_length=4)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_models_own_tokenizer_is_counted_without_its_truncation(tokenizer_file):
    counter = HuggingFaceCounter(tokenizer_file)
    assert counter.count("water damage is reported within 72 hours") > 4
    assert counter.count("<|endoftext|>\ud800") > 0
    assert counter.count_request([Message("user", "")]) == 32 + 8 + counter.count("user")
    assert not counter.is_exact
    assert counter.name == "tokenizers:tokenizer.json"


def test_a_file_that_is_no_tokenizer_is_a_typed_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(PromptError, match=r"cannot be read as a tokenizer") as caught:
        HuggingFaceCounter(tmp_path / "tokenizer.json").count("hello")
    assert caught.value.hint
