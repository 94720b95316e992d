from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.costs.windows import Span, day_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe"]
times = st.floats(min_value=0, max_value=4e9, allow_nan=False)


def test_a_day_and_a_month_begin_at_midnight_of_their_place():
    (day,) = Span("day", "Europe/Berlin").windows(NOON)
    assert datetime.fromtimestamp(day.starts_at, ZoneInfo("Europe/Berlin")).isoformat() == "2026-11-22T00:00:00+01:00"
    (month,) = Span("month").windows(NOON)
    assert datetime.fromtimestamp(month.ends_at, UTC).isoformat() == "2026-12-01T00:00:00+00:00"


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 7, 1), 24)])
def test_a_day_is_as_long_as_it_is_there(date, hours):
    noon = datetime(*date, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    (day,) = Span("day", "Europe/Berlin").windows(noon)
    assert day.length_s == hours * 3600


@given(now=times, per=st.sampled_from(["day", "month"]), zone=st.sampled_from(ZONES))
def test_windows_follow_one_another_without_gap_or_overlap(now, per, zone):
    span = Span(per, zone)
    (window,) = span.windows(now)
    assert window.starts_at <= now < window.ends_at
    (after,) = span.windows(window.ends_at)
    assert after.starts_at == window.ends_at
    assert span.windows(window.ends_at - 1) == (window,)
    assert span.windows(window.starts_at) == (window,)
    assert span.name(now) != span.name(window.ends_at)


@given(now=times, per=st.sampled_from(["1 hour", "24 hours", "7 days", "30 days"]))
def test_buckets_cover_the_whole_rolling_window_and_at_most_a_hundredth_more(now, per):
    span = Span(per)
    buckets = span.windows(now)
    assert all(one.ends_at == other.starts_at for one, other in pairwise(buckets))
    assert buckets[-1].starts_at <= now < buckets[-1].ends_at
    assert now - 1.01 * span.rolling_s <= buckets[0].starts_at <= now - span.rolling_s + 1e-6


def test_names_tell_window_and_place():
    assert Span("day").name(NOON) == day_of(NOON) == "2026-11-22"
    assert Span("month", "Europe/Berlin").name(NOON) == "2026-11 Europe/Berlin"
    assert (Span("total").name(NOON), Span("30 days").name(NOON)) == ("total", "30 days")


def test_only_what_begins_anew_says_when():
    assert Span("day").resets_at(NOON) == NOON + 12 * 3600
    assert Span("total").resets_at(NOON) is None
    assert Span("24 hours").resets_at(NOON) is None


@pytest.mark.parametrize(
    ("per", "zone"), [("week", "UTC"), ("0 days", "UTC"), ("day", "Berlin"), ("day", "../etc/passwd"), ("day", "")]
)
def test_what_is_no_window_is_refused(per, zone):
    with pytest.raises(ValueError, match="'"):
        Span(per, zone)
