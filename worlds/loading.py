"""From a release to models in memory: what cannot be used is left out, and said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from worlds.core.coherent import recalibrated
from worlds.core.features import Features
from worlds.core.forms import CountForm, SizeForm
from worlds.core.forms.default import default_count, default_size
from worlds.domain import Domain
from worlds.errors import SnapshotError, WorldsError
from worlds.publish import Release, SnapshotStore
from worlds.segments import SegmentModels
from worlds.watch.containment import check, check_content, guarded

DEFAULT = "default"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""When the next period begins where nothing was published yet."""


@dataclass(frozen=True)
class Loaded:
    """One model in memory."""

    weight: float
    form: CountForm | SizeForm
    snapshot: str | None


def load_models(
    domain: Domain, store: SnapshotStore, release: Release | None
) -> tuple[dict[str, dict[str, Loaded]], list[str]]:
    """Read every snapshot of a release.

    The weights of the remaining models of a quantity are scaled to sum to 1; where none remains
    the default belief takes over.

    Returns
    -------
    tuple
        Quantity to model to what was loaded; and what is wrong.
    """
    trouble = [] if release else ["no release has been published yet"]
    models: dict[str, dict[str, Loaded]] = {}
    for quantity in domain.quantities:
        loaded: dict[str, Loaded] = {}
        named = release.models.get(quantity.name, {}) if release else {}
        for model, snapshot_id in named.items():
            try:
                form = _usable(domain, quantity.role, store, snapshot_id)
            except SnapshotError as error:
                trouble.append(f"{quantity.name}/{model}: {error}")
                continue
            weight = release.weights[quantity.name][model] if release else 0.0
            loaded[model] = Loaded(weight, guarded(form), snapshot_id)
        models[quantity.name] = _recalibrated(
            _rescale(loaded), release, quantity.name, trouble
        ) or default_models(domain, quantity.role, release)
        if release and not _rescale(loaded):
            why = "no usable model" if not loaded else "all weights are zero"
            trouble.append(f"{quantity.name}: {why}; the default belief answers")
    return models, trouble


def try_out(form: CountForm | SizeForm) -> None:
    """Let a model say something of everything it is asked for.

    Raises
    ------
    Exception
        Whatever it raises; `ModelFaultError` if what it says is no distribution.
    """
    if isinstance(form, CountForm):
        check_content(form.count())
        return
    if hasattr(form, "prepare"):
        form.prepare()
    check(form.quick(Features()))
    check_content(form.severity())


def _usable(
    domain: Domain, role: str, store: SnapshotStore, snapshot_id: str
) -> CountForm | SizeForm:
    snapshot = store.get(snapshot_id)
    version = snapshot.provenance.get("extractor")
    if role == "size" and version != domain.spec.version:
        ours = domain.spec.version
        msg = f"it was fitted on extractor version {version!r}, the domain has {ours!r}"
        raise SnapshotError(msg)
    form = snapshot.form
    if role == "count" and isinstance(form, CountForm):
        return form
    if role == "size" and isinstance(form, SizeForm):
        return form
    msg = f"its form {form.form!r} cannot serve a {role}"
    raise SnapshotError(msg)


def segments_of(
    domain: Domain, store: SnapshotStore, release: Release | None
) -> SegmentModels | None:
    """Return the segments of a release; their models are read when they are asked for."""
    if release is None or not release.segments:
        return None
    roles = {quantity.name: quantity.role for quantity in domain.quantities}
    return SegmentModels(
        release.segments, lambda name, snapshot: _usable(domain, roles[name], store, snapshot)
    )


def _rescale(loaded: Mapping[str, Loaded]) -> dict[str, Loaded]:
    total = float(np.sum([model.weight for model in loaded.values()]))
    if not 0 < total < np.inf:
        return {}
    return {
        name: Loaded(model.weight / total, model.form, model.snapshot)
        for name, model in loaded.items()
    }


def _recalibrated(
    loaded: dict[str, Loaded], release: Release | None, quantity: str, trouble: list[str]
) -> dict[str, Loaded]:
    """Return the models such that their mixture is the recalibrated pool, where that is known."""
    evidence = release.evidence.get(quantity, {}) if release else {}
    try:
        found = recalibrated(
            {name: model.form for name, model in loaded.items()},
            {name: model.weight for name, model in loaded.items()},
            evidence,
        )
    except (WorldsError, ValueError) as error:  # of numbers that were published
        trouble.append(f"{quantity}: not recalibrated: {error}")
        found = None
    if found is None:
        return loaded
    forms, weights = found
    return {
        name: Loaded(weights[name], forms[name], model.snapshot) for name, model in loaded.items()
    }


def default_models(domain: Domain, role: str, release: Release | None) -> dict[str, Loaded]:
    """Return the default belief about the quantity of a role."""
    start = release.until if release else EPOCH
    quantity = domain.quantity(role)
    form: CountForm | SizeForm
    if role == "count":
        form = default_count(quantity, start, domain.step)
    else:
        form = default_size(quantity, start)
    return {DEFAULT: Loaded(1.0, form, None)}
