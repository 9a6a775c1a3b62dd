"""Somebody at the desk of a whole house, without a browser: signs in and sends its forms."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.parse
import urllib.request

from tests.house import House, Town


def contacts_of(town: Town, elder: str) -> list[str]:
    """Whom the dialplan would call for this number, as it is delivered by the carrier."""
    entries = town.observer.list_of("DBGetTree", Family=f"rescue/contact/{elder}")
    return [one["Val"] for one in entries if one["Event"] == "DBGetTreeResponse"]


class DeskVisitor:
    """Somebody who is signed in at the house's desk and sends its forms."""

    def __init__(self, house: House) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._desk = house.ready["desk"]
        self._open = urllib.request.build_opener(jar).open
        self.send("/sign-in", {"name": "admin", "password": house.admin_password})

    def enter(self, name: str, number: str, contacts: tuple[str, ...]) -> str:
        """Put an elder with emergency contacts into the register; returns the page's path."""
        form = {"full_name": name, "numbers": number}
        for place, called in enumerate(contacts):
            form |= {
                f"contacts.{place}.name": f"亲属{place + 1}",
                f"contacts.{place}.is_emergency": "yes",
                f"contacts.{place}.phones": called,
            }
        return self.send("/elders/new", form)

    def send(self, path: str, form: dict[str, str], page: str = "") -> str:
        """Send this form, with the token that its page has; returns where it led.

        The form stands on `page`, or at the path that it is sent to.
        """
        with self._open(self._desk + (page or path)) as shown:
            token = re.search(r'name="csrf" value="([^"]+)"', shown.read().decode())
        assert token, page or path
        fields = urllib.parse.urlencode(form | {"csrf": token[1]}).encode()
        with self._open(self._desk + path, fields) as answer:
            return str(urllib.parse.urlsplit(answer.url).path)
