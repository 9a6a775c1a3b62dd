"""Where Asterisk's manager interface and our menus meet: known to who renders and who connects."""

from __future__ import annotations

from typing import Final

AMI_PORT: Final = 5038
AMI_USER: Final = "careline"
AGI_PORT: Final = 4573
HTTP_PORT: Final = 8088
