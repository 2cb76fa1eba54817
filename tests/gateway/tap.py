"""A relay between a client and the gateway for a whole test, which compares all answers with the simulator's own."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.gateway.relay import Passed, relay
from tests.gateway.wiretap import written_bodies


@dataclass(frozen=True, slots=True)
class Tap:
    """``address`` is the one to give to a client in place of the gateway's; ``answers`` are those up to now."""

    address: str
    answers: list[Passed]


@contextmanager
def tapped(address: str) -> Iterator[Tap]:
    """A tap in front of the gateway at this address."""
    with relay(address) as (own_address, answers):
        yield Tap(own_address, answers)


@contextmanager
def unchanged(tap: Tap) -> Iterator[None]:
    """All answers, which come meanwhile, are the simulator's own, byte for byte."""
    with written_bodies() as bodies:
        yield
    assert Counter(answer.body for answer in tap.answers) == Counter(bodies())
