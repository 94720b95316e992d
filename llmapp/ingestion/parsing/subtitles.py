"""Subtitles (WebVTT, SubRip) as what is said: without numbers, times, notes and styles; whoever speaks is named.

A change of the speaker begins a paragraph, so that a chunk is what one person said.
"""

from __future__ import annotations

import html
import re

_TIMES = re.compile(r"\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{3}\s+-->\s")
_VOICE = re.compile(r"<v(?:\.[^ <>]*+)?\s++([^<>]{1,200}+)>")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]*+>")


def spoken(text: str) -> str:
    """The lines of all cues in order; a speaker's name stands before the first line of each of their turns."""
    said: list[str] = []
    speaker = ""
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.split("\n")
        times = next((number for number, line in enumerate(lines[:3]) if _TIMES.match(line)), None)
        if times is None:
            continue  # the head of the file, a note, a style
        cue = "\n".join(lines[times + 1 :]).strip("\n")
        voice = _VOICE.search(cue)
        turn = voice[1].strip() if voice else speaker
        begins = f"\n{turn}: " if turn != speaker else ""
        speaker = turn
        said.append(begins + html.unescape(_TAG.sub("", cue)).strip())
    return "\n".join(said).strip()
