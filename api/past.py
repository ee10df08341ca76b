"""Answers as of a time in the past: the release that was in force then."""

from collections import OrderedDict
from threading import Lock

from api.asking import known_time
from api.errors import TimeError
from api.service import Service
from worlds.ask import Answerer
from worlds.publish import Release

KEPT_RELEASES = 4


class Past:
    """The models of older releases, a few of them in memory."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._serving = service.serving
        self._kept: OrderedDict[str, Answerer] = OrderedDict()
        self._lock = Lock()

    def find(self, wanted: str | None, service: Service) -> Release | None:
        """Return the release that was in force at a time, None for the present one.

        Raises
        ------
        TimeError
            If the time lies in the future or before the first release.
        """
        moment = known_time(wanted, service.now())
        if moment is None:
            return None
        release = self._serving.store.as_of(moment)
        if release is None:
            known = self._serving.store.releases()
            first = (
                f"the first release knows {known[-1].as_of.isoformat()}" if known else "none yet"
            )
            msg = f"nothing had been learned as of {moment.isoformat()}: {first}"
            raise TimeError(msg)
        return release

    def models(self, wanted: str | None, current: Answerer) -> Answerer:
        """Return the models in force at a time, `current` for the present one.

        Raises
        ------
        TimeError
            If the time lies in the future or before the first release.
        """
        release = self.find(wanted, self._service)
        return self.answerer(release) if release else current

    def answerer(self, release: Release) -> Answerer:
        """Return the models of a release."""
        with self._lock:
            found = self._kept.get(release.id)
            if found is None:
                found = self._kept[release.id] = self._serving.as_of(release)
                while len(self._kept) > KEPT_RELEASES:
                    self._kept.popitem(last=False)
        return found
