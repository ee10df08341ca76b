"""What every answer says besides its numbers."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from worlds.domain import Domain
from worlds.loading import DEFAULT, Loaded
from worlds.publish import Release


def aged(release: Release | None, domain: Domain) -> list[str]:
    """Say so where the period is not the coming one, as of when the facts were read."""
    if release is None:
        return []
    known, begin, end = release.as_of, release.until, release.until + domain.step
    if begin < known < end:
        return ["the period had begun when the facts were read; what it brought is left out"]
    if known < end:
        return []
    days = (known - begin) / timedelta(days=1)
    return [
        f"the facts end {days:,.0f} days before they were read: the period is the one after"
        f" the last fact, not the coming {domain.grain}"
    ]


def unseen(models: Mapping[str, Mapping[str, Loaded]], where: Mapping[str, str]) -> list[str]:
    """Say which labels of a restriction no model has seen."""
    forms = [loaded.form for found in models.values() for loaded in found.values()]
    known: dict[str, set[str]] = {}
    for form in forms:
        for category, (labels, _) in getattr(form, "shares", {}).items():
            known.setdefault(category, set()).update(labels)
    return [
        f"{category}={label} was never seen: few or none are expected, what one brings is open"
        for category, label in where.items()
        if label not in known.get(category, set())
    ]


def untaught(
    models: Mapping[str, Mapping[str, Loaded]], release: Release | None, names: Collection[str]
) -> list[str]:
    """Say of which quantities nothing could be learned, and why."""
    if release is None:
        return []
    found = []
    for quantity in names:
        if set(models.get(quantity, {})) == {DEFAULT}:
            declined = release.declined.get(quantity, {})
            why = "; ".join(f"{model}: {reason}" for model, reason in declined.items())
            found.append(
                f"of {quantity} nothing was learned, its default belief answers"
                + (f" ({why})" if why else "")
            )
    return found


def joint(over: int) -> list[str]:
    """Say how several periods hang together."""
    if over == 1:
        return []
    return [f"{over} periods together: they share one level, their noise is independent"]
