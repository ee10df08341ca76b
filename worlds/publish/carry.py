"""A published path of counts carried on: what is left of it once its first periods have passed."""

from dataclasses import replace
from datetime import datetime, timedelta

from worlds.core.forms import CountForm, CountPath, SizeForm
from worlds.publish.snapshot import Snapshot

CARRIED = "carried"
"""Key of the provenance that says from which snapshot a path was carried, and how far."""


def carried(snapshot: Snapshot, until: datetime) -> Snapshot | None:
    """Return a snapshot that predicts from `until` on, or None if it does not reach it.

    Sizes say by themselves how far their level may have drifted and stay as they are. Of a path
    the periods that have passed are cut off; the rest is a snapshot of its own that names the
    one it was cut from.
    """
    form = snapshot.form
    if isinstance(form, SizeForm) and not isinstance(form, CountForm):
        return snapshot
    if not isinstance(form, CountPath):
        return None
    passed, rest = divmod(until - form.start, form.step)
    if abs(until - form.start) < timedelta(seconds=1):
        return snapshot
    if rest or not 0 < passed < form.horizon:
        return None
    cut = replace(
        form,
        start=until,
        weights=form.weights[passed:],
        means=form.means[passed:],
        sizes=form.sizes[passed:],
    )
    origin = {"snapshot": snapshot.id, "periods": passed}
    provenance = {**snapshot.provenance, CARRIED: origin}
    return replace(snapshot, form=cut, provenance=provenance, parent=snapshot.id)
