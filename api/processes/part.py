"""``python -m api.processes.part ORDERS``: one process of a service, started by the supervisor."""

import json
import os
import socket
import sys
from pathlib import Path

import msgspec
from litestar import Litestar

from api.app import create_app
from api.processes.place import Place
from api.server import Server, configured, service_of
from api.settings import Settings


class PartServer(Server):
    """A server that tells the supervisor when it is up."""

    def __init__(self, app: Litestar, settings: Settings, ready: int) -> None:
        super().__init__(configured(app, settings), service_of(app))
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            os.write(self._ready, b"1")
        os.close(self._ready)


def main(orders: str) -> None:
    """Do what the supervisor ordered, until SIGTERM."""
    told = json.loads(orders)
    settings = msgspec.convert(told["settings"], Settings)
    place = Place(
        told["role"],
        Path(told["recorder"]),
        Path(told["status"]),
        Path(told["counts"]),
        told["row"],
        told["rows"],
    )
    listener = socket.socket(fileno=told["listener"])
    app = create_app(settings, place=place)
    PartServer(app, settings, told["ready"]).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
