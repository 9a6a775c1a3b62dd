"""Makes the database ready: migrated, with what the settings name, the plans that Careline brings,
and somebody who can sign in."""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from functools import partial

from argon2 import PasswordHasher

from home import Home
from launch.steps import SetupError, say
from settings import Settings
from sql.engine import Database
from sql.migrate import BadDatabase, first_admin, has_users, seed, upgrade
from sql.own_plans import own_plans
from sql.queries.plans import bring

# A slow write belongs in the processes' logs; here it would be said to the person at the terminal.
logging.getLogger("sql").addHandler(logging.NullHandler())


async def settle(settings: Settings, home: Home) -> None:
    """Migrate and seed; the first admin's password is said once, when it is made.

    Raises SetupError with what to do when the database cannot be used.
    """
    url = settings.database_url(home.root)
    try:
        await asyncio.to_thread(upgrade, url)
    except BadDatabase as cause:
        raise SetupError(str(cause)) from None
    database = Database(url)
    try:
        await seed(
            database,
            {site.code: site.name for site in settings.sites},
            {seat.extension: (seat.name, seat.site) for seat in settings.seats},
        )
        await bring(database, own_plans(), datetime.now(UTC))
        async with database.reading() as session:
            is_new = not await has_users(session)
        if is_new:
            await _make_admin(database)
    finally:
        await database.close()


async def _make_admin(database: Database) -> None:
    password = secrets.token_urlsafe(12)
    # Slow by design, so that nobody can guess: only at the first start.
    hashed = await asyncio.to_thread(PasswordHasher().hash, password)
    shown = f"first sign-in at the desk: user admin, password {password}   (shown only once)"
    await first_admin(database, hashed, partial(say, shown))
