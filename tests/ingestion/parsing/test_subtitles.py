import pytest

from llmapp.ingestion.parsing.subtitles import spoken

VTT = """WEBVTT - Interview

NOTE not said

STYLE
::cue { color: red }

intro
00:11.000 --> 00:13.000 align:right
<v Ann>Hello &amp; <i>welcome</i>

01:00:13.000 --> 01:00:16.000
<v.loud Ann>to this talk.

00:16.000 --> 00:18.000
<v Bob>Thanks.
"""


def test_only_what_is_said_remains_with_the_names_of_the_speakers():
    assert spoken(VTT) == "Ann: Hello & welcome\nto this talk.\n\nBob: Thanks."


def test_numbers_and_times_of_subrip_are_left_out():
    assert spoken("1\n00:01:14,440 --> 00:01:15,760\nOne line\nand two\n\n2\n00:02:00,000 --> 00:02:01,000\nEnd") == (
        "One line\nand two\nEnd"
    )


@pytest.mark.parametrize("text", ["", "WEBVTT", "no cues at all", "00:00.000 --> 00:01.000"])
def test_without_cues_nothing_is_said(text):
    assert spoken(text) == ""


@pytest.mark.usefixtures("short_of_time")
def test_hostile_cues_take_no_time():
    spoken("00:00.000 --> 00:01.000\n" + "<v " * 300_000)
    spoken("\n \n" * 300_000)
    spoken("\n" + " " * 300_000 + "x")
    spoken("1" * 300_000)
