"""Every telephone of the town: the numbers that reach it, and what it does when it rings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from telephony.practice.town import Contact, Town, steps

Spellings = Callable[[str], Sequence[str]]
"""Every way to dial a number of the town."""


@dataclass(frozen=True, slots=True)
class Telephone:
    """`does` is answers, busy or nobody; it answers after `rings_s` seconds and walks `steps`."""

    numbers: tuple[str, ...]
    does: str
    rings_s: int = 3
    steps: str = ""


def telephones(
    town: Town, robots: Sequence[str], services: Mapping[str, Sequence[str]], spellings: Spellings
) -> list[Telephone]:
    """All of them; where two have one number, the first has it.

    `services` gives the numbers that the sites have for "ambulance", "fire" and "police".
    """
    taken: set[str] = set()
    found = []
    for telephone in _all(town, robots, services):
        dialled = {way for number in telephone.numbers for way in (number, *spellings(number))}
        if free := tuple(sorted(dialled - taken)):
            taken |= dialled
            found.append(Telephone(free, telephone.does, telephone.rings_s, telephone.steps))
    return found


def _all(
    town: Town, robots: Sequence[str], services: Mapping[str, Sequence[str]]
) -> Iterator[Telephone]:
    for service in town.services:
        numbers = tuple(services.get(service.number, (service.number,)))
        yield Telephone(
            numbers, "answers", steps=steps(service.number, service.lines, service.voice)
        )
    for extension in robots:
        robot = steps("robot", town.robot.lines, town.robot.voice)
        yield Telephone((f"phone-{extension}",), "answers", 1, robot)
    for elder in town.elders:
        at_home = steps("elder", town.elder.lines, elder.voice)
        yield Telephone((elder.number,), "answers", 5, at_home)
        for contact in elder.contacts:
            yield _of_contact(town, contact)


def _of_contact(town: Town, contact: Contact) -> Telephone:
    match contact.does:
        case "family":
            said = steps("family", town.family.lines, contact.voice)
            return Telephone((contact.number,), "answers", 4, said)
        case "mailbox":
            said = steps("mailbox", town.mailbox.lines, town.mailbox.voice)
            return Telephone((contact.number,), "answers", 10, said)
        case other:
            return Telephone((contact.number,), other)
