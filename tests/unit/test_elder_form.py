"""The elder's form: which numbers it takes, and what it says to others."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent_desk.elder_form import ContactRow, ElderForm


@pytest.mark.parametrize("number", ["120", "0120", "１２０", "120#1", "120转8", "+120", "119 x2"])
def test_rescue_is_no_contact_however_it_is_written(number: str) -> None:
    with pytest.raises(ValidationError, match="rescue_number"):
        ContactRow(name="女儿", phones=(number,))


@pytest.mark.parametrize("number", ["1转23456", "١٢٣٤٥٦", "1;2345", "电话"])
def test_what_no_telephone_can_dial_is_no_number(number: str) -> None:
    with pytest.raises(ValidationError, match="bad_number"):
        ElderForm(full_name="王秀兰", numbers=(number,))
