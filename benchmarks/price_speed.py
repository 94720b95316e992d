"""What it takes to price a call: compiled integers beside `genai_prices.calc_price` on the same usage.

Microseconds are for a core that does nothing else, where both are under 2; the ratio counts. Exit code 1 below it.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable

import genai_prices

from llmapp.costs.price_book import PriceBook
from llmapp.types import Usage

MODELS = ("openai:gpt-4o", "anthropic:claude-sonnet-4-5")
LEAST_RATIO = 50


def best_us(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e6


def main() -> int:
    ratios = []
    book, usage = PriceBook(), Usage(1_000, 200, cache_read_tokens=300)
    theirs_usage = genai_prices.Usage(input_tokens=1_000, output_tokens=200, cache_read_tokens=300)
    print(f"{'model':30} {'cost µs':>9} {'bound µs':>9} {'found µs':>9} {'calc_price µs':>14} {'ratio':>7}")
    for model in MODELS:
        price = book.price(model)
        cost = best_us(lambda price=price: price.cost_nano_usd(usage), 100_000)
        bound = best_us(lambda price=price: price.bound_nano_usd(input_tokens=1_000, output_tokens=200), 100_000)
        found = best_us(lambda model=model: book.price(model), 100_000)
        provider, _, name = model.partition(":")
        theirs = best_us(
            lambda name=name, provider=provider: genai_prices.calc_price(theirs_usage, name, provider_id=provider), 1_000
        )
        print(f"{model:30} {cost:9.2f} {bound:9.2f} {found:9.2f} {theirs:14.1f} {theirs / cost:6.0f}x")
        ratios.append(theirs / max(cost, bound))
    return int(min(ratios) < LEAST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
