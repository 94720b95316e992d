"""API against GPUs of one's own: what each costs by volume, and from which volume the second is cheaper.

GPUs are whole: V requests a month take ceil(V / capacity) of them, so the own cost is a staircase, and there may be volumes
beyond the first break-even at which the API is cheaper again, right after a step. A GPU that costs more at full load than the
API does for the same work is never cheaper, whatever the volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from llmapp.costs.forecast import DAYS_PER_MONTH
from llmapp.errors import InvalidRequestError

HOURS_PER_MONTH = 24 * DAYS_PER_MONTH
_SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class InHouse:
    """GPUs of one's own, and what they do."""

    gpu_usd_per_hour: Fraction
    input_tokens_per_s: Fraction
    """Of one GPU, measured at the load it is to run at; input alone."""
    output_tokens_per_s: Fraction
    utilisation: Fraction
    """Part of the time in which there is work: 1 is never reached, for requests come when they come."""
    operations_usd_per_month: Fraction = Fraction(0)
    """People, storage, network: whatever is paid however many GPUs there are."""

    def __post_init__(self) -> None:
        """See that it can work."""
        rates = (self.input_tokens_per_s, self.output_tokens_per_s, self.gpu_usd_per_hour)
        if min(rates) <= 0 or not 0 < self.utilisation <= 1 or self.operations_usd_per_month < 0:
            raise InvalidRequestError(
                "prices and tokens a second are above 0, the utilisation is above 0 and at most 1",
                hint="measure tokens a second on your server, e.g. with vllm bench serve",
            )

    @property
    def gpu_usd_per_month(self) -> Fraction:
        """What a GPU costs, used or not."""
        return self.gpu_usd_per_hour * HOURS_PER_MONTH

    def capacity(self, input_tokens: int, output_tokens: int) -> int:
        """Whole requests of that size that a GPU serves in a month."""
        seconds = Fraction(input_tokens) / self.input_tokens_per_s + Fraction(output_tokens) / self.output_tokens_per_s
        if min(input_tokens, output_tokens) < 0 or not seconds:
            raise InvalidRequestError("a request has tokens", hint="give --input-tokens or --output-tokens")
        served = math.floor(HOURS_PER_MONTH * _SECONDS_PER_HOUR * self.utilisation / seconds)
        if not served:
            raise InvalidRequestError("a GPU would serve no such request in a month", hint="see the tokens a second")
        return served


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both ways to serve requests of one size."""

    api_usd: Fraction
    """What the API takes for a request."""
    gpu_usd: Fraction
    """What a GPU costs a month."""
    operations_usd: Fraction
    """What there is to pay a month besides."""
    capacity: int
    """Requests that a GPU serves in a month."""

    @property
    def full_load_usd(self) -> Fraction:
        """What a request costs on a GPU that is as busy as it gets, operations left out."""
        return self.gpu_usd / self.capacity

    def gpus(self, requests: int) -> int:
        """GPUs for so many requests a month."""
        return -(-requests // self.capacity)

    def own_usd(self, requests: int) -> Fraction:
        """What GPUs of one's own cost for so many requests a month."""
        return self.gpus(requests) * self.gpu_usd + self.operations_usd

    def break_even(self) -> int | None:
        """Fewest requests a month at which GPUs of one's own are not dearer than the API; None is never.

        On the step of k GPUs, which cost k x gpu + operations, that is so from (k x gpu + operations) / api on, if the step
        reaches so far: k x (capacity x api - gpu) >= operations.
        """
        steps = self._first_step(self.operations_usd)
        return None if steps is None else self._on_step(steps)

    def always_from(self) -> int | None:
        """Fewest requests a month from which that is so whatever the volume, also right after a further step; None is never.

        The first request beyond the step of k GPUs needs another: (k x capacity + 1) x api >= (k + 1) x gpu + operations.
        """
        steps = [self._first_step(need) for need in (self.operations_usd, self.gpu_usd + self.operations_usd - self.api_usd)]
        return None if None in steps else self._on_step(max(each for each in steps if each is not None))

    def _first_step(self, to_earn_usd: Fraction) -> int | None:
        """Fewest GPUs that, as busy as they get, earn so much against the API."""
        gain = self.capacity * self.api_usd - self.gpu_usd
        if gain > 0:
            return max(1, math.ceil(to_earn_usd / gain))
        return 1 if gain >= to_earn_usd else None

    def _on_step(self, steps: int) -> int:
        return math.ceil((steps * self.gpu_usd + self.operations_usd) / self.api_usd)


def compare(api_usd: Fraction, own: InHouse, *, input_tokens: int, output_tokens: int) -> Comparison:
    """Both ways to serve requests of one size; `api_usd` is what the API takes for one."""
    return Comparison(
        api_usd, own.gpu_usd_per_month, own.operations_usd_per_month, own.capacity(input_tokens, output_tokens)
    )
