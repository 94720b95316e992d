"""What a question asks for: its words, its numbers, and the kind of thing that an answer must hold."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][a-z]+)?", re.UNICODE)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ees", "ee", "es", "ed", "s", "e", "y")
_STOP_WORDS = (
    "a an and any are as at be been being but by can could did do does for from had has have he her his how i if in into is it its"
    " me may might must my of on or our s shall she should so some such than that the their them then there these they this those"
    " to too up was we were what when where which who whom whose why will with would you your please tell about according also"
    " much many long often give list name"
)
_STOP = frozenset(_STOP_WORDS.split())

_DIGIT = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:1[0-9]|20)\d\d\b|\b\d{1,2}[./:]\d{1,2}|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b|\b\d+(?:st|nd|rd|th)\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b\d+ (?:hour|day|week|month|year)s?\b|century|annually|monthly",
    re.IGNORECASE,
)
_CAPITAL = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'’-]+")
_PHONE = re.compile(r"(?:\+\d|\(\d|\b0)[\d ()/.-]{5,}\d|\b\d{3}[ -]\d{3,4}(?:[ -]\d{4})?\b")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_TIME = r"(?:\d{1,2}[:.]\d\d|\d{1,2} ?(?:[ap]\.?m\b|o'clock|uhr)|noon|midnight)"
_CLOCK = re.compile(rf"\b{_TIME}|\bday and night\b", re.IGNORECASE)
_HOURS = re.compile(
    rf"\b(?:{_TIME}|\d{{1,2}})(?: ?[-–] ?| \w{{1,5}} ){_TIME}|\b(?:day and night|24/7|24 hours a day)\b", re.IGNORECASE
)

_PAST = re.compile(r"\b(?:was|were|did|had|old|older|former|formerly|previous|previously|earlier|archived?)\b")


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of thing that is known by its form, as a telephone number is."""

    asked: re.Pattern[str]
    """Questions for it."""
    found: re.Pattern[str]
    """The thing itself."""
    names: frozenset[str]
    """Words of the question that the thing itself stands for: beside it, none has to say "phone number"."""


def terms(text: str) -> set[str]:
    """Words without case, accents, common endings and stop words; numbers as they are."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    words = (match[0].replace("’", "'").removesuffix("'s") for match in _WORD.finditer(plain))
    return {_stem(word) for word in words if word not in _STOP}


def _stem(word: str) -> str:
    if word[0].isdigit():
        return word.replace(",", "")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:  # noqa: PLR2004  shorter stems join unlike words
            return word[: -len(ending)]
    return word


_FORMS = (
    Form(
        re.compile(r"\be-?mails?\b|\bmail address"),
        _MAIL,
        frozenset(terms("e email e-mail mail address write")),
    ),
    Form(
        re.compile(
            r"\b(?:tele)?phone number|\bfax number|\bwh(?:o|om|at|ich|ere)(?: number)? (?:do|can|should|must|shall) \w+ (?:call|phone|ring)\b"
            r"|\bwhat number\b|\bhotline\b|\breach\b.* by (?:tele)?phone\b|\b(?:phone|number) (?:for|of) (?:the )?(?:claims|emergenc)"
        ),
        _PHONE,
        frozenset(terms("call dial hotline number phone reach ring telephone")),
    ),
    Form(
        re.compile(
            r"\b(?:what|which|opening|office|business|working|visiting|(?:tele)?phone) (?:are |is )?(?:the )?(?:\w+ )?hours\b"
        ),
        _HOURS,
        frozenset(terms("hours opening")),
    ),
    Form(
        re.compile(r"\bwhen\b.*\b(?:open|close|staffed)\b|\bopen (?:on|at|until|till)\b|\b(?:what|which) time\b"),
        _CLOCK,
        frozenset(terms("time open close opening staffed")),
    ),
)


class Question:
    """A question, taken apart."""

    def __init__(self, text: str) -> None:
        """Find its words, its numbers and the kind of thing that it asks for."""
        self.text = text
        self.words = terms(text)
        if self.form is not None:
            self.words = self.words - self.form.names or self.words
        self.numbers = {word for word in self.words if word[0].isdigit()}
        self.names = {word for match in _CAPITAL.finditer(text) for word in terms(match[0])} & self.words
        self.is_past = bool(_PAST.search(text.lower()))

    @cached_property
    def form(self) -> Form | None:
        """What an answer must hold by its form: a telephone number, a mail address, a time of day."""
        text = self.text.lower()
        return next((form for form in _FORMS if form.asked.search(text)), None)

    @cached_property
    def _kind(self) -> re.Pattern[str] | None:
        """What an answer should hold: a form, a number, a date, a name; None when anything may answer."""
        text = f" {self.text.lower()} "
        if self.form is not None:
            return self.form.found
        if re.search(
            r"\bhow (?:much|many|long|often|old|far|high|large|big|tall)\b|\b(?:percentage|amount|number of)\b", text
        ):
            return _DIGIT
        if re.search(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|time)\b", text):
            return _DATE
        return _CAPITAL if re.search(r"\bwho(?:m|se)?\b", text) else None

    def found_in(self, text: str) -> bool:
        """Whether a text holds the kind of thing that is asked for; a name in the question is not its own answer."""
        if self._kind is None:
            return True
        if self._kind is not _CAPITAL:
            return bool(self._kind.search(text))
        return any(not terms(match[0]) <= self.words for match in _CAPITAL.finditer(text))
