"""What was found, as it stands in a prompt: merged by span, in order, cut where little is lost. Knows no tokens and no budget."""

from llmapp.prompting.evidence.cutting import cut_places, shortened
from llmapp.prompting.evidence.order import Order, in_order
from llmapp.prompting.evidence.passages import NEAR_CHARS, Part, Passage, parts_of, passages_of

__all__ = ["NEAR_CHARS", "Order", "Part", "Passage", "cut_places", "in_order", "parts_of", "passages_of", "shortened"]
