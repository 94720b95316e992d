import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.ingestion.blocks import split_blocks
from llmapp.ingestion.chunking import StructureChunker
from llmapp.testing.fakes import WordTokenizer
from llmapp.types import ParsedDocument


class LetterTokenizer:
    """Three letters a token, counted from the start of the text: a part has other tokens than the whole."""

    identity = "letters"
    special_tokens = 2

    def offsets(self, text):
        return [match.span() for match in re.finditer(r"\S{1,3}", text)]

    def count(self, text):
        return len(self.offsets(text))


class UnknownWordTokenizer(WordTokenizer):
    """A long word is one unknown token, a shorter one is a token a letter: a part may have more tokens than the whole."""

    def offsets(self, text):
        spans = []
        for match in re.finditer(r"\S+", text):
            long = match.end() - match.start() > 100
            spans += [match.span()] if long else [(i, i + 1) for i in range(match.start(), match.end())]
        return spans


TOKENIZERS = [WordTokenizer(), LetterTokenizer(), UnknownWordTokenizer()]


def chunks(text, max_tokens=20, tokenizer=None, page_starts=(), has_headings=True):
    document = ParsedDocument(text, page_starts=page_starts, has_headings=has_headings)
    spans = StructureChunker(tokenizer or WordTokenizer(), max_tokens).chunk(document)
    return [(text[span.start_char : span.end_char], span.heading) for span in spans]


def texts(text, max_tokens=20, **options):
    return [chunk for chunk, _ in chunks(text, max_tokens, **options)]


def assert_exact(text, max_tokens, tokenizer, page_starts=()):
    spans = list(StructureChunker(tokenizer, max_tokens).chunk(ParsedDocument(text, page_starts=page_starts)))
    position = 0
    for span in spans:
        chunk = text[span.start_char : span.end_char]
        assert chunk
        assert chunk == chunk.strip()
        assert not text[position : span.start_char].strip(), "what lies between two chunks is blank"
        assert span.start_char >= position, "no overlap"
        assert tokenizer.count(chunk) <= max_tokens or len(chunk) == 1
        position = span.end_char
    assert not text[position:].strip(), "nothing is left over"


pieces = st.sampled_from(
    ["# Title\n", "## Sub\n", "word ", "Sentence. ", "\n", "\n\n", "\r\n", "- item\n", "| a | b |\n", "```\n", "~~~\n", "===\n", "---\n",
     "漢字かな。", "👩‍👩‍👧", "🇩🇪🇫🇷", "e\u0301\u0302", "x" * 150, "\t", "\u200b", "\u2028", "\x0c", "1. one\n", "Row 1:\n  a: b\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(pieces, max_size=60).map("".join) | st.text(max_size=300),
    st.integers(1, 40),
    st.sampled_from(TOKENIZERS),
    st.lists(st.integers(0, 400), max_size=4),
)
def test_chunks_are_exact_spans_that_cover_the_text_within_the_limit(text, max_tokens, tokenizer, page_starts):
    assert_exact(text, max_tokens, tokenizer, tuple(sorted(page_starts)))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "漢" * 20_000, "👩‍👩‍👧" * 5_000, "e" + "\u0301" * 20_000, "a. " * 20_000, "| a | b |\n" * 5_000,
     "a" + " " * 100_000 + "b", "```\n" + "x = 1\n" * 5_000, "# h\n" * 5_000, "a\n\n" * 10_000],
    ids=["one word", "cjk", "emoji", "marks", "sentences", "table", "spaces", "open fence", "headings only", "paragraphs"],
)  # fmt: skip
def test_long_monotonous_texts_stay_exact(text, tokenizer):
    assert_exact(text, 50, tokenizer)


def test_a_megabyte_without_a_space_is_cut_in_seconds():
    started = time.process_time()
    found = texts("x" * 1_000_000, 200, tokenizer=LetterTokenizer())
    assert len(found) > 1_000
    assert time.process_time() - started < 20


def test_no_text_no_chunks():
    assert chunks("") == chunks(" \n\t\n") == []


def test_a_heading_stays_with_its_text_and_names_the_chunk():
    text = "# Claims\n\n## Water\n\nReport within 72 hours.\n\n## Fire\n\nCall at once."
    assert chunks(text) == [
        ("# Claims\n\n## Water\n\nReport within 72 hours.", "Claims › Water"),
        ("## Fire\n\nCall at once.", "Claims › Fire"),
    ]


def test_a_heading_stays_with_the_first_words_of_a_paragraph_that_is_too_long():
    first = texts("## Long\n\n" + "One two three. " * 30)[0]
    assert first.startswith("## Long\n\nOne two three.")


def test_a_deeper_heading_ends_with_the_next_of_its_level():
    text = "# A\n\na\n\n### C\n\nc\n\n## B\n\nb\n\n# D\n\nd"
    assert [heading for _, heading in chunks(text)] == ["A", "A › C", "A › B", "D"]


def test_underlined_headings_are_headings():
    assert chunks("Title\n=====\n\none\n\nPart\n----\n\ntwo") == [
        ("Title\n=====\n\none", "Title"),
        ("Part\n----\n\ntwo", "Title › Part"),
    ]


def test_markup_is_left_out_of_a_heading():
    assert chunks("## **Bold** `code` [link](http://x.y) ##\n\ntext")[0][1] == "Bold code link"


def test_what_looks_like_a_heading_in_a_code_fence_is_code():
    text = "# Real\n\n```sh\n# comment\nls\n```\n\nafter"
    assert chunks(text) == [(text, "Real")]


def test_small_neighbours_under_one_heading_are_packed():
    assert texts("one two\n\nthree four\n\nfive six", 4) == ["one two\n\nthree four", "five six"]


def test_a_paragraph_is_not_cut_when_it_fits():
    long, short = "One two three four. " * 3, "Five six seven eight. " * 3
    assert texts(f"{short}\n\n{long}", 20) == [short.strip(), long.strip()]


def test_a_long_paragraph_is_cut_at_sentences():
    found = texts("The first has six words here. " * 10, 20)
    assert all(chunk.endswith("here.") for chunk in found)


def test_sentences_without_spaces_are_found_in_chinese():
    found = texts("水漏れは七十二時間以内に報告する。" * 20, 40, tokenizer=LetterTokenizer())
    assert all(chunk.endswith("。") for chunk in found)


def test_table_rows_are_not_cut():
    found = texts("".join(f"| row {number} | value {number} |\n" for number in range(30)), 20)
    assert all(line.startswith("| row") and line.endswith("|") for chunk in found for line in chunk.splitlines())


def test_list_items_are_not_cut():
    found = texts("".join(f"- item {number} has words\n  and goes on\n" for number in range(20)), 20)
    assert all(chunk.startswith("- item") and chunk.endswith("goes on") for chunk in found)


def test_records_of_a_table_are_not_cut():
    found = texts("\n\n".join(f"Row {n}:\n  policy: home\n  deductible: {n}00" for n in range(1, 9)), 20)
    assert all(re.fullmatch(r"(Row \d:\n  policy: home\n  deductible: \d00(\n\n)?)+", chunk) for chunk in found)


def test_code_is_cut_at_lines_only():
    found = texts("```\n" + "x = call(a. b). c\n" * 20 + "```", 30)
    assert all(line in ("```", "x = call(a. b). c") for chunk in found for line in chunk.splitlines())


def test_a_chunk_does_not_span_pages():
    text = "end of one\n\nstart of two"
    assert texts(text, page_starts=(0, 12)) == ["end of one", "start of two"]


def test_a_line_of_plain_text_is_not_a_markdown_heading():
    assert chunks("# 12\n\ntext", has_headings=False) == [("# 12\n\ntext", "")]


@pytest.mark.parametrize("grapheme", ["e\u0301", "👩‍👩‍👧", "👍🏽", "🇩🇪", "\u0928\u093f"])
def test_graphemes_are_not_torn(grapheme):
    for filler in range(4):
        text = "a" * filler + grapheme * 200
        for chunk in texts(text, 10, tokenizer=LetterTokenizer()):
            rest = chunk.removeprefix("a" * filler) if text.startswith(chunk) else chunk
            assert len(rest) % len(grapheme) == 0, repr(rest)


def test_the_version_tells_the_size():
    assert StructureChunker(WordTokenizer(), 5).version != StructureChunker(WordTokenizer(), 6).version


def test_a_size_of_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="positive"):
        StructureChunker(WordTokenizer(), 0)


@pytest.mark.parametrize(
    "text",
    ["# a" + " " * 200_000 + "x", "# a" + "](" * 200_000, "# a" + " #" * 100_000 + "x", "#" * 7 + " #" * 100_000],
    ids=["spaces", "links", "closing signs", "seven"],
)
@pytest.mark.usefixtures("short_of_time")
def test_the_blocks_of_a_hostile_heading_take_no_time(text):
    assert [block.end for block in split_blocks(text)] == [len(text)]


def test_closing_signs_are_no_part_of_a_heading():
    assert chunks("# Fees ##\t\n\nNone.") == [("# Fees ##\t\n\nNone.", "Fees")]
