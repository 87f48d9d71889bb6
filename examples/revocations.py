"""Who was logged out before the end of a token: follows otp-auth's feed. Needs `pip install httpx`."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from datetime import datetime

import httpx

log = logging.getLogger(__name__)
WAIT = 30  # seconds for which otp-auth holds a call until there is news
STALE = 120  # seconds without an answer after which somebody should look


@asynccontextmanager
async def following(client):
    """The revocations, followed. `client` has otp-auth's address and this service's credentials."""
    revocations = Revocations()
    task = asyncio.create_task(revocations.follow(client))
    yield revocations
    task.cancel()


class Revocations:
    """One for the whole process. It forgets what ends with the tokens, so its memory is bounded."""

    def __init__(self):
        self._ends = {}  # a session's id, or that of a user who is gone: when its last token ends
        self._cursor = "0"
        self._heard = time.monotonic()

    def hold(self, claims):
        """Whether a token with these claims must be refused."""
        return claims.get("sid") in self._ends or claims["sub"] in self._ends

    def is_stale(self):
        """For the readiness page. Tokens still end by themselves, so go on serving."""
        return time.monotonic() - self._heard > STALE

    async def follow(self, client):
        while True:
            try:
                await self._ask(client)
            except (httpx.HTTPError, LookupError, ValueError) as error:
                log.warning("no revocations: %s", type(error).__name__)
                await asyncio.sleep(2)

    async def _ask(self, client):
        answer = await client.get(
            "/v1/revocations",
            params={"since": self._cursor, "wait": WAIT},
            headers={"If-None-Match": f'"{self._cursor}"'},
            timeout=WAIT + 10,
        )
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            news = answer.raise_for_status().json()
            for one in news["revocations"]:
                ends = datetime.fromisoformat(one["expires_at"]).timestamp()
                self._ends[one.get("sid") or one["sub"]] = ends
            self._cursor = news["cursor"]
        self._heard = time.monotonic()
        self._ends = {key: ends for key, ends in self._ends.items() if ends > time.time()}
