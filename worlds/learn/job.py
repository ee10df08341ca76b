"""One learning run: facts as of a time to a published release. Same input, same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from worlds.domain import Domain
from worlds.errors import SnapshotError
from worlds.learn import backtest, pool
from worlds.learn.before import Before, last_good_segment
from worlds.learn.candidates import Field, Settings, entries
from worlds.learn.history import FactSource, History, read
from worlds.learn.journal import Journal
from worlds.learn.quantities import Learned, learn_quantity
from worlds.learn.report import Report, SegmentLine
from worlds.learn.segment_fit import Work, reference
from worlds.learn.segments import Part, Parts, Segment
from worlds.publish import Release, SnapshotStore, pins

type Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done and how many there are."""

SEGMENT_STEPS = 10
"""Steps of the display that a segment counts: it takes as long as some refits."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which segments are learned besides everything, and by whom.

    Parameters
    ----------
    segments
        Named ones.
    by
        Categories of which every label with enough things is one.
    workers
        Processes that fit them; 0 fits them in this one.
    domain
        Name under which a worker loads the domain; without one they are fitted here.
    """

    segments: tuple[Segment, ...] = ()
    by: tuple[str, ...] = ()
    workers: int = 0
    domain: str | None = None

    def chosen(self, parts: Parts) -> list[Segment]:
        """Return the segments, each once."""
        found = [*self.segments]
        for category in self.by:
            found += parts.by(category)
        return list(dict.fromkeys(found))


def learn(
    domain: Domain,
    source: FactSource,
    store: SnapshotStore,
    *,
    as_of: datetime,
    until: datetime | None = None,
    now: datetime | None = None,
    settings: Settings | None = None,
    progress: Progress = lambda _text, _done, _total: None,
    cut: Cut | None = None,
    journal: Journal | None = None,
) -> Report:
    """Fit, back-test, examine and publish every model of a domain.

    Parameters
    ----------
    domain, source, store
        What to learn, from which facts, and where to publish.
    as_of, until
        See `worlds.learn.history.read`.
    now
        When this is done; it is noted beside the release and changes nothing else.
    settings
        Seed, deadline and route.
    progress
        Told after every step.
    cut
        Segments that are learned besides everything.
    journal
        Remembers finished parts, so that a run that was killed goes on where it stopped.

    Returns
    -------
    Report
        What was published and what was declined, with the reasons. A model that raises, is too
        slow or fails the gate is a line in it and stops no other.
    """
    settings, cut = settings or Settings(), cut or Cut()
    history = read(domain, source, as_of=as_of, until=until)
    parts = Parts(history, settings.seed)
    chosen = cut.chosen(parts)
    steps = _Steps(progress, domain, history, len(chosen))
    before = Before.load(store, domain, as_of)
    held = pins.read(store)
    origin = {"as_of": as_of, "until": history.until, "facts": source.version(as_of)}
    learned = {}
    for quantity in domain.quantities:
        field = Field(domain, quantity, history, settings, before.forms(quantity.name))
        learned[quantity.name] = _once(
            journal,
            quantity.name,
            partial(learn_quantity, field, before, held, origin, store, steps, steps.say),
            partial(steps.skip, quantity.role, len(entries(domain, quantity))),
        )
    work = _Run(domain, history, settings, origin, store, before, journal, steps)
    segments, lines = work.segments(parts, chosen, cut, learned)
    release = Release(
        domain=domain.name,
        as_of=as_of,
        until=history.until,
        models={name: one.models for name, one in learned.items()},
        weights={name: one.weights for name, one in learned.items()},
        evidence={name: one.evidence for name, one in learned.items()},
        declined={name: one.declined for name, one in learned.items()},
        simulated=history.simulated,
        created_at=now,
        segments=segments,
        refused={name: one.refused for name, one in learned.items() if one.refused},
        pinned={name: one.pinned for name, one in learned.items() if one.pinned},
    )
    with store.alone():
        stays = held_back(store, release)
        store.release(release, current=stays is None)
    return Report.of(release, learned, lines, history, stays)


def held_back(store: SnapshotStore, release: Release) -> str | None:
    """Return why a release does not come into force, or None.

    A look back (``--as-of`` an earlier time) is published for questions about then; it does not
    replace what answers now. Nor does anything while a person has the release pinned.
    """
    try:
        held = store.current()
    except SnapshotError:
        return None
    if held is None or held.id == release.id or held.domain != release.domain:
        return None
    pin = pins.read(store).get(pins.RELEASE)
    if pin is not None:
        return f"release {held.id} is pinned by {pin['by']}: {pin['reason']}"
    if held.as_of > release.as_of:
        return f"release {held.id} in force knows more: as of {held.as_of.isoformat()}"
    if held.as_of == release.as_of and held.change:
        return f"{held.change['action']} by {held.change['by']} holds until there are newer facts"
    return None


def _once(
    journal: Journal | None,
    name: str,
    learn_it: Callable[[], Learned],
    skip: Callable[[], None],
) -> Learned:
    """Return what was learned, from the journal if a killed run got that far."""
    known = journal.part(name) if journal is not None else None
    if known is not None:
        skip()
        return Learned.from_json(known)
    found = learn_it()
    if journal is not None:
        journal.keep(name, found.to_json())
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """What the segments of a run need."""

    domain: Domain
    history: History
    settings: Settings
    origin: Mapping[str, Any]
    store: SnapshotStore
    before: Before
    journal: Journal | None
    steps: "_Steps"

    def segments(
        self,
        parts: Parts,
        chosen: Sequence[Segment],
        cut: Cut,
        learned: Mapping[str, Learned],
    ) -> tuple[dict[str, dict[str, Any]], list[SegmentLine]]:
        """Return the entries of the release and the lines of the report."""
        found: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        left = []
        for segment in chosen:
            known = self.journal.part(segment.name) if self.journal is not None else None
            if known is None:
                left.append(segment)
            else:
                found[segment.name] = known
                self.steps.segment(segment.name)
        resumed = len(found)

        def done(part: Part, result: dict[str, Any] | str) -> None:
            name = part.segment.name
            if isinstance(result, str):
                failed[name] = result
                old = self.before.segments.get(name, {})
                kept = last_good_segment(self.store, self.domain, old, self.history.until)
                if kept:
                    found[name] = kept
            else:
                found[name] = result
                if self.journal is not None:
                    self.journal.keep(name, result)
            self.steps.segment(name)

        if left:
            pool.fit_all(
                self._work(learned),
                parts.parts(left),
                done,
                domain=cut.domain,
                workers=min(cut.workers, len(left)),
            )
        entries_ = {name: found[name] for name in sorted(found)}
        lines = [SegmentLine.of(one.name, found.get(one.name), failed.get(one.name))
                 for one in chosen]  # fmt: skip
        if resumed:
            self.steps.say(f"{resumed} segments were finished before")
        return entries_, lines

    def _work(self, learned: Mapping[str, Learned]) -> Work:
        self.steps.say("what everything forecast before")
        weights = {name: one.weights for name, one in learned.items()}
        times = {name: self.origin[name].isoformat() for name in ("as_of", "until")}
        return Work(
            self.domain,
            self.settings,
            reference(self.domain, self.history, weights, self.settings),
            {**times, "facts": self.origin["facts"]},
            self.history.simulated,
            self.store.root,
        )


class _Steps:
    """Counts the steps of a run for its display."""

    def __init__(self, progress: Progress, domain: Domain, history: History, segments: int) -> None:
        self._each = {
            "count": len(backtest.count_origins(history.counts)) + 1,
            "size": len(backtest.size_blocks(history.items)) + 1,
        }
        self._text = ""
        self._progress = progress
        self._done = 0
        self._total = SEGMENT_STEPS * segments + sum(
            self._each[q.role] * len(entries(domain, q)) for q in domain.quantities
        )

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._text = text

    def __call__(self, steps: int = 1) -> None:
        self._done = min(self._done + steps, self._total)
        self._progress(self._text, self._done, self._total)

    def skip(self, role: str, models: int) -> None:
        """Count the steps of a quantity that was learned before."""
        self(self._each[role] * models)

    def segment(self, name: str) -> None:
        """Count the steps of a finished segment."""
        self.say(f"segment {name}")
        self(SEGMENT_STEPS)
