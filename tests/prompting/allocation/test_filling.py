from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.filling import by_novelty, fill
from llmapp.prompting.allocation.parts import Item, Section
from llmapp.prompting.allocation.units import units_of

SECTION = Section("examples")


def _likeness(item, other):
    """Items are points on a line, alike when near."""
    return max(0.0, 1 - abs(float(item.text) - float(other.text)))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(1, 30)), max_size=12), st.integers(0, 120))
def test_each_choice_is_the_one_that_adds_most_to_those_before_it(drawn, room_tokens):
    items = [Item(f"i{n}", "examples", tokens, value=v / 10, text=f"{p / 8}") for n, (p, v, tokens) in enumerate(drawn)]
    units = units_of(items, [SECTION])
    draft = Draft(room_tokens)
    fill(draft, by_novelty(draft, units, _likeness, per_token=False), {"examples": 10**6})

    chosen, left_tokens, rest = [], room_tokens, [unit.items[0] for unit in units]
    while rest:  # the same, with every gain reckoned anew each time
        nearest = {item: max((_likeness(item, other) for other in chosen), default=0.0) for item in rest}
        best = max(rest, key=lambda item: item.value * (1 - nearest[item]))
        rest.remove(best)
        if nearest[best] < 1 and best.tokens <= left_tokens and best.text not in {item.text for item in chosen}:
            chosen.append(best)
            left_tokens -= best.tokens
    assert [unit.items[0].id for unit in draft.standing] == [item.id for item in chosen]
