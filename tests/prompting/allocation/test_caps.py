from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.allocation.caps import Claim, shares

CLAIMS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 200), st.integers(0, 500)).map(
        lambda drawn: Claim(drawn[0], drawn[1], drawn[1] + drawn[2])
    ),
    min_size=1,
    max_size=6,
)


def test_sections_share_by_weight_and_what_one_does_not_want_flows_on():
    assert shares([Claim(1, 0, 1_000), Claim(3, 0, 1_000)], 400) == [100, 300]
    assert shares([Claim(1, 0, 1_000), Claim(3, 0, 60)], 400) == [340, 60]


def test_what_a_section_has_already_counts_and_is_never_taken_away():
    assert shares([Claim(1, 100, 1_000), Claim(1, 0, 1_000)], 100) == [100, 100]
    assert shares([Claim(1, 300, 1_000), Claim(1, 0, 1_000)], 100) == [300, 100]


def test_a_section_without_weight_keeps_what_it_has():
    assert shares([Claim(0, 50, 1_000), Claim(1, 0, 100)], 400) == [50, 100]
    assert shares([Claim(0, 50, 1_000)], 400) == [50]


@given(CLAIMS, st.integers(0, 800))
def test_shares_are_within_what_is_had_and_wanted_and_all_of_it_is_given_where_it_is_wanted(claims, left_tokens):
    caps = shares(claims, left_tokens)
    assert all(claim.has_tokens <= cap <= claim.wants_tokens for claim, cap in zip(claims, caps, strict=True))
    given_tokens = sum(caps) - sum(claim.has_tokens for claim in claims)
    wanted = sum(claim.wants_tokens - claim.has_tokens for claim in claims if claim.weight)
    assert given_tokens <= left_tokens
    assert given_tokens >= min(left_tokens, wanted) - len(claims)  # parts of tokens are not given
