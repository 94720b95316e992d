import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import ParseError
from llmapp.ingestion.parsing.text_decoding import decode, decode_utf8

GERMAN = "Die Prüfung größerer Schäden übernimmt der Sachverständige; für Möbel gilt eine Selbstbeteiligung. " * 5
JAPANESE = "水漏れの被害は七十二時間以内に報告してください。保険証券の番号を忘れずに書いてください。" * 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "cp1252"])
def test_german_text_is_read_in_any_usual_encoding(encoding):
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp932", "euc-jp"])
def test_japanese_text_is_read_in_any_usual_encoding(encoding):
    assert decode(JAPANESE.encode(encoding)) == JAPANESE


def test_html_is_read_in_the_encoding_that_it_names():
    page = '<meta charset="iso-8859-5"><p>Привет</p>'
    assert decode(page.encode("iso-8859-5"), is_html=True) == page


def test_utf8_wins_over_a_wrong_meta_element():
    page = '<meta charset="shift_jis"><p>für</p>'
    assert decode(page.encode(), is_html=True) == page


def test_line_ends_become_newlines():
    assert decode(b"a\r\nb\n") == "a\nb\n"


@pytest.mark.parametrize(
    "content", [bytes(range(256)) * 8, b"\0" * 50, b"text\0with\0nul words and more words", b"\xff\xfe\x00"]
)
def test_what_is_not_text_is_refused(content):
    with pytest.raises(ParseError, match="not text"):
        decode(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_without_nul_or_refused(content):
    try:
        text = decode(content)
    except ParseError:
        return
    assert "\0" not in text
    text.encode()


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=200))
def test_utf8_comes_back_verbatim(text):
    assert decode(text.encode()) == text.removeprefix("\ufeff")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf8_is_told_without_a_guess(mark):
    assert decode_utf8(mark + GERMAN.encode()) == GERMAN


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_what_is_not_plainly_utf8_is_left_to_a_guess(encoding):
    assert decode_utf8(GERMAN.encode(encoding)) is None


def test_control_characters_in_utf8_are_no_text():
    with pytest.raises(ParseError, match="not text"):
        decode_utf8(b"\x01\x02\x03 words")


@pytest.mark.parametrize("charset", ["zlib", "idna", "undefined", "rot13", "no-such", "utf-16"])
def test_a_page_that_names_an_odd_charset_is_read_or_refused(charset):
    page = f'<meta charset="{charset}"><p>f\u00fcr</p>'.encode("cp1252")
    with contextlib.suppress(ParseError):
        assert isinstance(decode(page, is_html=True), str)
