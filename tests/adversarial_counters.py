"""Counters that a budget has to hold for: of models, from above, and two that grow faster than the sums of parts."""

from llmapp.prompting.counting import BpeCounter, EstimateCounter
from llmapp.testing.fakes import ByteCounter


class JointCounter:
    """Words, and one token more for every line that is joined to another: parts always cost less than the whole."""

    name = "joints"
    is_exact = True
    is_exact_with_tools = False

    def count(self, text):
        return len(text.split()) + text.count("\n")

    def upper_bound(self, text):
        return self.count(text)

    def count_request(self, messages, *, tools=()):
        return 3 + sum(4 + self.count(message.content) for message in messages) + 2 * max(0, len(messages) - 1)


class SquareCounter(JointCounter):
    """Grows faster than its text: sums are far too small."""

    name = "square"

    def count(self, text):
        return len(text) // 4 + len(text) ** 2 // 20_000


COUNTERS = [BpeCounter(), BpeCounter("cl100k_base"), EstimateCounter(), ByteCounter(), JointCounter(), SquareCounter()]
