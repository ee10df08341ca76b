"""A published model, and a release: the set of models that serve together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import numpy as np

from worlds.core.forms import FORMS, Form
from worlds.core.forms.base import Arrays, Meta
from worlds.errors import SnapshotError

ID_LENGTH = 16
LATER = ("segments", "refused", "pinned", "change")
"""Fields of a release that are written only where they say something."""


@dataclass(frozen=True)
class Snapshot:
    """An immutable, fitted model.

    Parameters
    ----------
    quantity, model
        What it predicts and which competing belief it is.
    form
        What serves it: a little meta data and small arrays.
    provenance
        Where it comes from: domain, as_of, until, version of the facts, code, extractor and
        seed, what inference said of itself, whether the facts were simulated.
    checks
        What the gate examined: ``{"name", "passed", "value", "bound"}`` each.
    parent
        The snapshot it replaced, if any.
    """

    quantity: str
    model: str
    form: Form
    provenance: Mapping[str, Any]
    checks: tuple[Mapping[str, Any], ...] = ()
    parent: str | None = None

    @cached_property
    def parts(self) -> tuple[Meta, Arrays]:
        """The manifest and the arrays that are stored."""
        meta, arrays = self.form.to_parts()
        manifest = {
            "quantity": self.quantity,
            "model": self.model,
            "form": self.form.form,
            "meta": meta,
            "provenance": dict(self.provenance),
            "checks": [dict(check) for check in self.checks],
            "parent": self.parent,
        }
        return manifest, arrays

    @cached_property
    def id(self) -> str:
        """The address: a hash of everything in it but its parent."""
        manifest, arrays = self.parts
        return content_id({**manifest, "parent": None}, arrays)

    @classmethod
    def from_parts(cls, manifest: Meta, arrays: Arrays) -> Self:
        """Read back what `parts` gave.

        Raises
        ------
        SnapshotError
            If no form of that name is known, or its parts do not fit together.
        """
        name = manifest.get("form")
        if name not in FORMS:
            msg = f"unknown form {name!r}; known: {', '.join(sorted(FORMS))}"
            raise SnapshotError(msg)
        try:
            form = FORMS[name].from_parts(manifest["meta"], arrays)
            return cls(
                manifest["quantity"],
                manifest["model"],
                form,
                manifest["provenance"],
                tuple(manifest["checks"]),
                manifest["parent"],
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            msg = f"a snapshot of form {name!r} does not fit together: {error!r}"
            raise SnapshotError(msg) from error


@dataclass(frozen=True)
class Release:
    """The models that serve together, with their weights.

    Parameters
    ----------
    domain
        Name of the domain.
    as_of
        Recorded time up to which facts were known.
    until
        Valid time up to which facts were used: the first predicted period starts here.
    models
        Quantity to model to snapshot id.
    weights
        Quantity to model to probability.
    evidence
        Quantity to what the weights were learned from.
    declined
        Quantity to model to the reason why it is not there.
    simulated
        Whether the facts came from a simulator.
    created_at
        When it was published (not part of its id).
    segments
        ``category=label`` to quantity to what was learned of these things alone: ``models``,
        ``weights``, whether they are ``in_use``, and the record that decided it.
    refused
        Quantity to model to the snapshot that the gate refused; ``declined`` says why.
    pinned
        Quantity to model to the snapshot that a person had pinned.
    change
        Who put it in force and why, if a person did: ``action`` (promote, rollback), ``reason``,
        ``by``, ``at``, ``release`` or ``snapshot`` taken, ``replaced``.
    """

    domain: str
    as_of: datetime
    until: datetime
    models: Mapping[str, Mapping[str, str]]
    weights: Mapping[str, Mapping[str, float]]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    declined: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    simulated: bool = False
    created_at: datetime | None = None
    segments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pinned: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for quantity, models in self.models.items():
            weights = self.weights.get(quantity, {})
            total = sum(weights.values())
            if set(weights) != set(models) or abs(total - 1) > 1e-6 or min(weights.values()) < 0:
                msg = f"weights of {quantity!r} do not fit its models: {dict(weights)}"
                raise SnapshotError(msg)

    @cached_property
    def id(self) -> str:
        """The address: a hash of everything in it but the time of publication."""
        return content_id({**self.to_json(), "created_at": None}, {})

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        raw = {name: value for name, value in asdict(self).items() if name != "id"}
        # what is not there is left out, so that releases from before these fields keep their ids
        raw = {name: value for name, value in raw.items() if value or name not in LATER}
        for name in ("as_of", "until", "created_at"):
            raw[name] = raw[name].isoformat() if raw[name] is not None else None
        return raw

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read the JSON form.

        Raises
        ------
        SnapshotError
            If it is not a release.
        """
        try:
            times = {
                name: datetime.fromisoformat(raw[name]) if raw[name] else None
                for name in ("as_of", "until", "created_at")
            }
            return cls(**{**raw, **times})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"not a release: {error!r}"
            raise SnapshotError(msg) from error


def canonical(raw: object) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(raw, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_id(manifest: Meta, arrays: Arrays) -> str:
    """Return the address of a manifest and its arrays."""
    digest = hashlib.sha256(canonical(manifest))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:ID_LENGTH]
