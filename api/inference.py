"""The domain's label as a model of the Open Inference Protocol v2: metadata, versions, predictions.

A version is a release; without one the model ``default`` answers. What the models in force say is
served like any other prediction: logged, counted, put into the arms of an experiment, and without
a model that fails. An older version is looked at, not served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any

import numpy as np

from api import tensors
from api.drafts import DraftChecker
from api.errors import MissingError, RequestError
from api.past import Past
from api.routes.predictions import ENTITY, naming
from api.service import Service
from api.serving import Served
from api.tensors import KINDS, WHOLE, InferRequest
from worlds.ask import Answerer
from worlds.domain import Domain, DraftField
from worlds.errors import ModelFaultError, SnapshotError
from worlds.prediction import Prediction

PLATFORM = "possible-worlds"
QUANTILES = "0.05,0.25,0.5,0.75,0.95"
DEFAULT = "default"
OUTPUTS = ("median", "mean", "quantiles", "exceedance")
TABLES = ("quantiles", "exceedance")
KEPT_VERSIONS = 20
THREAD_FROM = 8
"""Batches of this many drafts and more are computed in the pool, not on the event loop."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Predictions as tensors.

    Parameters
    ----------
    made
        One for each draft.
    levels
        Probabilities of the quantiles.
    thresholds
        Of the chances of being exceeded.
    told
        What is said of all of them: their ids, arms.
    """

    made: Sequence[Prediction]
    levels: Sequence[float]
    thresholds: Sequence[float]
    told: dict[str, str]

    def tensors(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Return all outputs: [n], [n, quantiles] and [n, thresholds]."""
        count = len(self.made)
        quantiles = [[_quantile(one, p) for p in self.levels] for one in self.made]
        above = [[chance.prob for chance in one.exceedance] for one in self.made]
        return {
            "median": np.array([one.median for one in self.made]),
            "mean": np.array([one.mean for one in self.made]),
            "quantiles": np.array(quantiles).reshape(count, len(self.levels)),
            "exceedance": np.array(above).reshape(count, len(self.thresholds)),
        }


class Inference:
    """The model.

    Parameters
    ----------
    service
        What is served.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._past = Past(service)
        self._checker = DraftChecker(service.domain.draft)
        self._fields = fields(service.domain)
        self._named = naming(service.domain)
        self._boot, self._numbers = token_hex(6), count(1)

    def check_model(self, model: str) -> None:
        """Refuse another model than the one there is.

        Raises
        ------
        MissingError
            Naming it.
        """
        label = self._service.domain.label
        if model != label:
            raise MissingError(f"there is no model {model[:80]!r}; there is {label!r}")

    async def older(self, version: str | None) -> Answerer | None:
        """Return the models of an older version; None for those in force.

        Raises
        ------
        MissingError
            If there is no such version.
        """
        release = self._service.serving.current.answerer.release
        held = release.id if release is not None else DEFAULT
        if version is None or version == held:
            return None
        return await self._service.desk.run(lambda: self._older(version))

    def _older(self, version: str) -> Answerer:
        try:
            return self._past.answerer(self._service.serving.store.get_release(version))
        except (SnapshotError, ValueError, OSError):
            raise MissingError(f"there is no version {version[:80]!r}") from None

    def metadata(self) -> dict[str, Any]:
        """Return what the model takes and gives. Reads the disk."""
        fields = [(f.name, KINDS.get(f.type, "BYTES")) for f in self._fields]
        return {
            "name": self._service.domain.label,
            "versions": self._versions(),
            "platform": PLATFORM,
            "inputs": [
                {"name": name, "datatype": kind, "shape": [-1]}
                for name, kind in [(WHOLE, "BYTES"), *fields]
            ],
            "outputs": [
                {"name": name, "datatype": "FP64", "shape": [-1, -1] if name in TABLES else [-1]}
                for name in OUTPUTS
            ],
        }

    def _versions(self) -> list[str]:
        serving = self._service.serving
        release = serving.current.answerer.release
        first = release.id if release is not None else DEFAULT
        others = (one.id for one in serving.store.releases()[:KEPT_VERSIONS])
        return list(dict.fromkeys([first, *others]))

    async def infer(
        self, body: bytes, header: int | None, version: str | None
    ) -> tuple[bytes, int | None]:
        """Return the reply to a request, and the length of its JSON if binary tensors follow it.

        Parameters
        ----------
        body
            The request.
        header
            The length of its JSON; None if it is nothing else.
        version
            Of the model; None for the one in force.

        Raises
        ------
        RequestError
            If the request has not the form of the protocol.
        MissingError
            If there is no such version.
        """
        wanted, elements = tensors.read(body, header)
        asked = _asked(wanted)
        found = tensors.drafts(wanted, elements, self._fields)
        limit = self._service.settings.batch_limit
        if len(found) > limit:
            raise RequestError(f"{len(found)} drafts; at most {limit} in one request")
        older = await self.older(version)
        if len(found) < THREAD_FROM:
            chosen, made = self._predict(older, wanted, found)
        else:
            run = self._service.desk.run
            chosen, made = await run(lambda: self._predict(older, wanted, found))
        outputs = made.tensors()
        if wanted.outputs is None and not made.thresholds:
            asked.remove("exceedance")
        head = self._head(chosen, wanted, made.told)
        return tensors.written(head, {name: outputs[name] for name in asked}, _binary(wanted))

    def _predict(
        self, older: Answerer | None, wanted: InferRequest, found: list[dict[str, Any]]
    ) -> tuple[Answerer, Reply]:
        levels = tensors.numbers(wanted, "quantiles", QUANTILES)
        thresholds = tensors.numbers(wanted, "thresholds", "")
        if not levels or not all(0 < p < 1 for p in levels):
            raise RequestError("quantiles must lie between 0 and 1", [("quantiles", "in (0, 1)")])
        central = sorted({_level(p) for p in levels} - {0.0}) or [0.5]
        if older is not None:
            made = [self._older_says(older, draft, central, thresholds, i)
                    for i, draft in enumerate(found)]  # fmt: skip
            return older, Reply(made, levels, thresholds, {})
        served = self._service.serving.current
        while True:
            try:
                told = [self._serve(served, draft, central, thresholds, i)
                        for i, draft in enumerate(found)]  # fmt: skip
                break
            except ModelFaultError as fault:  # it is left out from now on: ask the others
                if not self._service.serving.trip(fault):
                    raise
                served = self._service.serving.current
        self._count(served, len(found))
        said = {"predictions": ",".join(name for _, name, _ in told)}
        if any(arm for _, _, arm in told):
            said |= {"arms": ",".join(arm for _, _, arm in told)}
        return served.answerer, Reply([one for one, _, _ in told], levels, thresholds, said)

    def _older_says(
        self,
        chosen: Answerer,
        draft: dict[str, Any],
        levels: Sequence[float],
        thresholds: Sequence[float],
        place: int,
    ) -> Prediction:
        checked = self._checker.check(draft, f"draft[{place}]")
        if ENTITY in checked:
            checked, _ = self._named(checked, f"draft[{place}]")
        at = self._checker.moment(checked)
        return chosen.predict(checked, at=at, levels=levels, thresholds=thresholds)

    def _serve(
        self,
        served: Served,
        draft: dict[str, Any],
        levels: Sequence[float],
        thresholds: Sequence[float],
        place: int,
    ) -> tuple[Prediction, str, str]:
        """Return a prediction of the models in force, its id and its arm; it is logged."""
        begin = perf_counter()
        checked, entity = self._checker.check(draft, f"draft[{place}]"), None
        if ENTITY in checked:
            checked, entity = self._named(checked, f"draft[{place}]")
        at = self._checker.moment(checked)
        routed = None
        if served.routing is not None and entity is not None:
            routed = served.routing.of(entity)
        answerer = served.answerer if routed is None else routed.answerer
        made, said = answerer.forecast(checked, at=at, levels=levels, thresholds=thresholds)
        name = f"{self._boot}-{next(self._numbers):x}"
        self._service.log.note((name, entity, served, routed, said, at, perf_counter() - begin))
        return made, name, routed.arm if routed is not None else ""

    def _count(self, served: Served, number: int) -> None:
        self._service.metrics.count("predictions", number)
        if served.path != "models":
            self._service.metrics.count("degraded", number)

    def _head(self, chosen: Answerer, wanted: InferRequest, said: dict[str, str]) -> dict[str, Any]:
        release = chosen.release
        told: dict[str, Any] = {"simulated": bool(release and release.simulated), **said}
        if release is not None:
            told["as_of"] = release.as_of.isoformat()
        if chosen.degraded:
            told["degraded"] = chosen.degraded
        head = {
            "model_name": self._service.domain.label,
            "model_version": release.id if release is not None else DEFAULT,
            "parameters": told,
        }
        return head if wanted.id is None else {**head, "id": wanted.id}


def fields(domain: Domain) -> tuple[DraftField, ...]:
    """Return what a draft may say: the domain's fields, and which thing it will be."""
    if any(field.name == ENTITY for field in domain.draft):
        return tuple(domain.draft)
    text = "Which thing it will be: lets the prediction meet its outcome"
    return (*domain.draft, DraftField(ENTITY, "text", text, f"{domain.entity}:17"))


def _asked(wanted: InferRequest) -> list[str]:
    asked = [output.name for output in wanted.outputs or ()] or list(OUTPUTS)
    for name in asked:
        if name not in OUTPUTS:
            wrong = f"unknown output {name!r}; known: {', '.join(OUTPUTS)}"
            raise RequestError(wrong, [("outputs", wrong)])
    return list(dict.fromkeys(asked))


def _binary(wanted: InferRequest) -> set[str]:
    everything = bool(wanted.parameters.get("binary_data_output"))
    said = {output.name: output.parameters.get("binary_data") for output in wanted.outputs or ()}
    return {name for name in OUTPUTS if (everything if said.get(name) is None else said[name])}


def _level(p: float) -> float:
    """Return the level of the central interval that has this quantile as an end."""
    return round(abs(2 * p - 1), 12)


def _quantile(made: Prediction, p: float) -> float:
    level = _level(p)
    if not level:
        return made.median
    ends = next(one for one in made.intervals if one.level == level)
    return ends.low if p < 0.5 else ends.high
