"""The read-out card: what is said of an elder to whoever is sent there, and who can be called.

A case keeps it as it was read at its beginning, so that it is there while the database is away
(EMG-06, EMG-07, EMG-13, EMG-21).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

from workflows.numbers import within_china

LONGEST: Final = 3 * 67 - 12
"""Three parts of an SMS, less the sender's name that carriers put before it (【…】)."""
SHORTEST: Final = 8
"""Fewer characters than that say nothing of use."""
PARTS: Final = ("district", "street", "compound", "building", "unit", "floor", "room")
HOUSE: Final = ("号", "院", "户", "宅", "平房")
"""How the number of a house ends. A block has 楼, 栋, 幢 or 座 there, or a bare figure."""
IN_WORDS: Final = {"building": "号楼", "unit": "单元", "floor": "层", "room": "室"}
SEXES: Final = {"female": "女", "male": "男"}
LIVES: Final = {
    "alone": "独居",
    "with_spouse": "与配偶同住",
    "with_children": "与子女同住",
    "with_relatives_friends": "与亲友同住",
}


class PartyKind(Enum):
    """What somebody who is called in an emergency is; the elder is, when their line is gone."""

    AMBULANCE = "ambulance"
    FIRE = "fire"
    POLICE = "police"
    CONTACT = "contact"
    NEIGHBOUR = "neighbour"
    STATION = "station"
    COMMITTEE = "committee"
    DOCTOR = "doctor"
    HOSPITAL = "hospital"
    PROPERTY = "property"
    OTHER = "other"
    ELDER = "elder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody who can be called in this emergency.

    `key` stays the same within the case: ambulance, fire, police, contact/ID, responder/CODE.
    `numbers` are E.164, or the digits that were entered where they cannot be, in the order in which
    they are tried. Those of ambulance, fire and police are empty: Asterisk dials them by the site,
    and never by digits, since a bare 120 may reach another city's.
    """

    key: str
    kind: PartyKind
    name: str
    relation: str = ""
    numbers: tuple[str, ...] = ()


RESCUE: Final = (
    Party(key="ambulance", kind=PartyKind.AMBULANCE, name="120"),
    Party(key="fire", kind=PartyKind.FIRE, name="119"),
    Party(key="police", kind=PartyKind.POLICE, name="110"),
)
"""The three services, by the names that everybody has for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All that is known of one elder. `elder_id` is None for a caller whom nobody knows.

    `sex` and `living` are the register's words (female, alone), `age` is in whole years on the day.
    `call_back` is E.164: the number that calls, or the elder's first. `has_agreement`: there is a
    signed agreement on calling help for the elder (EMG-15); None while nobody keeps that.
    """

    elder_id: int | None = None
    uid: str = ""
    name: str = ""
    sex: str = ""
    age: int | None = None
    district: str = ""
    street: str = ""
    compound: str = ""
    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    landmark: str = ""
    entry_route: str = ""
    entry_route_checked_on: date | None = None
    diseases: str = ""
    medication: str = ""
    risk_plan: str = ""
    living: str = ""
    call_back: str = ""
    terminal_type: str = ""
    site: str = ""
    has_agreement: bool | None = None
    parties: tuple[Party, ...] = ()


def unknown(number: str, site: str) -> Card:
    """The card of a caller whom nobody knows: the rescue services, and the number to call back."""
    return Card(call_back=number, site=site, parties=RESCUE)


def years(born: date | None, on: date) -> int | None:
    """The age on a day, in whole years."""
    if born is None:
        return None
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def missing(card: Card) -> tuple[str, ...]:
    """What a dispatcher asks for and the card does not have, by the names of its fields.

    A house has neither units nor floors to be found by, so that these are not missed there. Its
    room is: several families may share a yard. Whatever may be a block counts as one, since a red
    word too many costs a glance, and one too few costs the ambulance its way.
    """
    wanted = ("name", *PARTS, "landmark", "entry_route", "call_back")
    gaps = tuple(part for part in wanted if not getattr(card, part).strip())
    is_house = card.building.strip().endswith(HOUSE) and {"unit", "floor"} <= set(gaps)
    return tuple(part for part in gaps if not (is_house and part in ("unit", "floor")))


def read_out(card: Card, condition: str) -> str:
    """The card as an SMS, in Chinese: what is needed most comes first, and stays.

    Name, address and number are never cut, however long they are. Then the way in and the
    condition share the room, and each of the rest has what is left by those before it.
    """
    begins = [f"求助：{_who(card)}", where(card)]
    ends = [f"回电：{within_china(_line(card.call_back))}"] if card.call_back else []
    room = LONGEST - sum(map(_cost, begins + ends))
    told = _piece("情况", condition, room)
    # A long way in leaves the condition half of the room, or all that it needs if that is less.
    way = _piece("进场", card.entry_route, max(room // 2, room - _cost(told)))
    room -= _cost(way)
    told = _piece("情况", condition, room)
    room -= _cost(told)
    rest = []
    for label, text in (
        ("附近", card.landmark),
        ("居住", LIVES.get(card.living, "")),
        ("疾病", card.diseases),
        ("用药", card.medication),
        ("风险", card.risk_plan),
    ):
        rest.append(_piece(label, text, room))
        room -= _cost(rest[-1])
    return "".join(f"{piece}。" for piece in (*begins, way, told, *ends, *rest) if piece)


def _who(card: Card) -> str:
    age = "" if card.age is None else f"{card.age}岁"
    said = (_line(card.name) or "姓名不详", SEXES.get(card.sex, ""), age)
    return "，".join(part for part in said if part)


def where(card: Card) -> str:
    """The seven parts in a row; a bare figure means little when it is read out: 7 becomes 7号楼."""
    said = ""
    for part in PARTS:
        text = _line(getattr(card, part))
        said += text + (IN_WORDS.get(part, "") if text.isdecimal() else "")
    return said or "地址不详"


def _piece(label: str, text: str, room: int) -> str:
    """A text with its label, cut to the room; empty when there is nothing to say, or no room."""
    said = _line(text)
    if not said:
        return ""
    piece = f"{label}：{said}"
    if _cost(piece) <= room:
        return piece
    return f"{_cut(piece, room - 2)}…" if room >= len(label) + SHORTEST else ""


def _cut(text: str, length: int) -> str:
    """The beginning of a text, in whole characters."""
    text = text[:length]
    while _length(text) > length:
        text = text[:-1]
    return text


def _cost(piece: str) -> int:
    """How much of an SMS a piece takes, with the full stop after it."""
    return _length(piece) + 1 if piece else 0


def _length(text: str) -> int:
    """As an SMS counts it: a rare character takes the place of two."""
    return len(text.encode("utf-16-le")) // 2


def _line(text: str) -> str:
    """Printable text on one line, without the full stop at its end."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split()).rstrip("。．.；;，,、 ")
