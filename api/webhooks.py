"""Alerts to other services: signed, tried again when they do not arrive, never in anybody's way.

The form is that of Standard Webhooks (standardwebhooks.com): headers ``webhook-id``,
``webhook-timestamp`` and ``webhook-signature``, the latter ``v1,`` and the base64 of
HMAC-SHA256(secret, "id.timestamp.body"). An alert may arrive twice; its id tells.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from api.errors import SettingsError
from api.events import Event

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("api")

WAITING = 1000
"""Alerts that may wait for one receiver; the oldest are dropped, which is logged."""
DELAYS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before another try."""
SECONDS = 10.0
"""Seconds a receiver may take."""
KINDS = frozenset({"health", "model", "drift", "process"})
"""Events that are alerts; a new release is none."""
PREFIX = "whsec_"
LEAST = 24
"""Least bytes of a secret, as the standard wants it."""


class Webhooks:
    """Sends alerts to addresses.

    Parameters
    ----------
    addresses
        Where to.
    secret
        Shared with the receivers.
    client
        Makes the HTTP client; once, when there is something to send.
    clock
        Seconds since 1970.
    delays
        Seconds before each further try.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        secret: bytes,
        client: "Callable[[], httpx.AsyncClient]",
        clock: Callable[[], float] = time.time,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self._secret = secret
        self._client = client
        self._clock = clock
        self._delays = tuple(delays)
        self._queues: dict[str, asyncio.Queue[Event]] = {
            address: asyncio.Queue() for address in addresses
        }

    def alert(self, event: Event) -> None:
        """Put an event on its way, if it is an alert."""
        if event.kind not in KINDS:
            return
        for address, queue in self._queues.items():
            if queue.qsize() >= WAITING:
                dropped = queue.get_nowait()
                log.error("alert %s to %s was dropped: too many wait", dropped.id, address)
            queue.put_nowait(event)

    async def run(self) -> None:
        """Deliver, for ever; a receiver that does not answer holds up no other."""
        if not self._queues:
            return
        async with self._client() as client, asyncio.TaskGroup() as group:
            for address, queue in self._queues.items():
                group.create_task(self._deliver(client, address, queue))

    async def _deliver(
        self, client: "httpx.AsyncClient", address: str, queue: asyncio.Queue[Event]
    ) -> None:
        while True:
            event = await queue.get()
            body = msgspec.json.encode(event)
            name = f"{event.id}-{event.at}"
            for delay in (*self._delays, None):
                wrong = await self._try(client, address, name, body)
                if wrong is None:
                    break
                if delay is None:
                    log.error("alert %s to %s was given up: %s", event.id, address, wrong)
                    break
                await asyncio.sleep(delay)

    async def _try(
        self, client: "httpx.AsyncClient", address: str, name: str, body: bytes
    ) -> str | None:
        """Send once; return what was wrong."""
        import httpx

        stamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(self._secret, name, stamp, body),
        }
        try:
            reply = await client.post(address, content=body, headers=headers, timeout=SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        return None if reply.is_success else f"it answered {reply.status_code}"


def sign(secret: bytes, name: str, stamp: int, body: bytes) -> str:
    """Return the signature of a message."""
    content = b"%s.%d.%s" % (name.encode(), stamp, body)
    return "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def read_secret(path: Path) -> bytes:
    """Read the secret from its file: ``whsec_`` and base64, or any line of text.

    Raises
    ------
    SettingsError
        If it cannot be read or is too short; the message does not hold it.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the secret for webhooks cannot be read from {path}: {error}"
        raise SettingsError(msg) from None
    secret = text.encode()
    if text.startswith(PREFIX):
        with suppress(ValueError):
            secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    if len(secret) < LEAST:
        msg = f"the secret for webhooks in {path} is shorter than {LEAST} bytes"
        raise SettingsError(msg)
    return secret
