"""The rules that move a model: live, probation, quarantined, retired. Pure, with hysteresis.

A model that is worse than it says goes to probation, where its weight is held down; with much
more evidence, or when it breaks while serving, it is quarantined: weight zero. Only another
snapshot of it, one that passed the gate, brings it back, and on probation. After several
quarantines in a row it is retired, and only a person brings it back.

What keeps it from flapping: evidence is gathered from the last move on, so the same forecasts
move it once; a step towards more trust waits for `dwell`, twice as long after every relapse, and
so does a step from trust to probation. Only quarantine comes at once, whenever it is due.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

type State = Literal["live", "probation", "quarantined", "retired"]

LIVE, PROBATION, QUARANTINED, RETIRED = "live", "probation", "quarantined", "retired"
TRUST: dict[str, int] = {RETIRED: 0, QUARANTINED: 1, PROBATION: 2, LIVE: 3}
MOST_DOUBLINGS = 8


@dataclass(frozen=True, slots=True)
class Rules:
    """The thresholds.

    Parameters
    ----------
    suspect
        Evidence from which a model is put on probation: that of a calibrated model reaches it
        among n scored forecasts with chance n / suspect at most.
    guilty
        Evidence from which it is quarantined.
    cleared
        Evidence below which probation ends.
    enough
        Scored forecasts that end probation.
    faults
        Faults while serving, within `fault_memory`, from which it is quarantined. Any are
        enough for probation.
    fault_memory
        How long a fault counts.
    dwell
        Time between a move and a step towards more trust.
    relapses
        Quarantines after which it is retired, if no probation ended well in between.
    hopeless
        Time in quarantine without another snapshot after which it is retired.
    """

    suspect: float = 1e4
    guilty: float = 1e6
    cleared: float = 1e2
    enough: int = 50
    faults: int = 3
    fault_memory: timedelta = timedelta(minutes=10)
    dwell: timedelta = timedelta(minutes=10)
    relapses: int = 3
    hopeless: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands.

    Parameters
    ----------
    state
        One of the four.
    reason
        Why.
    snapshot
        The snapshot that was in force when it was moved.
    relapses
        Quarantines since it was last live.
    """

    state: State = "live"
    reason: str = "nothing speaks against it"
    snapshot: str | None = None
    relapses: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a model at a moment.

    Parameters
    ----------
    evidence, against, scored
        Evidence against it since the last move, what it is about, and from how many forecasts.
    faults, fault
        Faults while serving that still count, and the last of them.
    snapshot
        The snapshot of it in the release in force.
    elapsed
        Since the last move; for ever, if it never moved.
    """

    evidence: float = 0.0
    against: str = ""
    scored: int = 0
    faults: int = 0
    fault: str = ""
    snapshot: str | None = None
    elapsed: timedelta = timedelta.max


def decide(now: Standing, seen: Seen, rules: Rules) -> Standing | None:
    """Return where a model is moved, or None if it stays.

    Parameters
    ----------
    now
        Where it stands.
    seen
        What is known.
    rules
        The thresholds.
    """
    if now.state == RETIRED:
        return None
    if now.state == QUARANTINED:
        return _after_quarantine(now, seen, rules)
    accused = _accused(seen, rules)
    if accused is not None:
        return _quarantine(now, seen, rules, accused)
    rested = seen.elapsed >= dwell(now, rules)
    if now.state == LIVE:
        suspicion = _suspicion(seen, rules)
        if suspicion is not None and rested:
            return Standing("probation", suspicion, seen.snapshot, now.relapses)
        return None
    if rested and seen.scored >= rules.enough and seen.evidence < rules.cleared and not seen.faults:
        text = f"{seen.scored} forecasts on probation went well (evidence {seen.evidence:.3g})"
        return Standing("live", text, seen.snapshot)
    return None


def dwell(now: Standing, rules: Rules) -> timedelta:
    """Return how long a model stays before a step towards trust, or away from fresh trust."""
    return rules.dwell * int(2 ** min(now.relapses, MOST_DOUBLINGS))


def _accused(seen: Seen, rules: Rules) -> str | None:
    if seen.faults >= rules.faults:
        minutes = rules.fault_memory / timedelta(minutes=1)
        return f"{seen.faults} faults while serving within {minutes:g} minutes: {seen.fault}"
    if seen.evidence >= rules.guilty:
        return _said(seen)
    return None


def _suspicion(seen: Seen, rules: Rules) -> str | None:
    if seen.faults > 0:
        return f"a fault while serving: {seen.fault}"
    if seen.evidence >= rules.suspect:
        return _said(seen)
    return None


def _said(seen: Seen) -> str:
    return (
        f"{seen.against}: evidence {seen.evidence:.3g} after {seen.scored} forecasts that met "
        "their outcome"
    )


def _quarantine(now: Standing, seen: Seen, rules: Rules, why: str) -> Standing:
    again = now.relapses + 1
    if again >= rules.relapses:
        text = f"{why}; quarantined {again} times without standing the test in between"
        return Standing("retired", text, seen.snapshot, again)
    return Standing("quarantined", why, seen.snapshot, again)


def _after_quarantine(now: Standing, seen: Seen, rules: Rules) -> Standing | None:
    if seen.snapshot is None or seen.snapshot == now.snapshot:
        if seen.elapsed >= rules.hopeless:
            text = f"{rules.hopeless.days} days in quarantine without a better snapshot"
            return Standing("retired", text, now.snapshot, now.relapses)
        return None
    if seen.elapsed < dwell(now, rules):
        return None
    text = f"snapshot {seen.snapshot} passed the gate after {now.snapshot} was quarantined"
    return Standing("probation", text, seen.snapshot, now.relapses)
