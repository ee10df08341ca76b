"""Segments: what they are cut from, whose fault a failure is, and when their models answer."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facts import Event, Exact, Store
from tests.worlds.learn import made
from tests.worlds.learn.test_job import FIRST
from worlds.ask import Answerer
from worlds.core.features import Features
from worlds.domain import load_domain
from worlds.errors import FitError, UnknownNameError
from worlds.learn.__main__ import main
from worlds.learn.history import History
from worlds.learn.segments import Parts, Segment, parse
from worlds.learn.series import aware
from worlds.publish import SnapshotStore

DOMAIN = '''
"""Two colours that come at different times, for tests of segments."""
import os, signal, time
from dataclasses import dataclass
from datetime import timedelta
from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Quantity, Question, SumOver
from worlds.domain import Domain
from worlds.learn.models.size_historical import Historical

def features(row):
    colour = row.get("colour")
    return Features({"colour": ((str(colour), 1.0),)} if colour else {})

@dataclass(frozen=True)
class Moody:
    """Kills its process on items of one colour only."""
    name: str = "historical"
    role: str = "size"
    def fit(self, items, spec, *, at, rng):
        colours = {label for one in items.features for label, _ in one.categories.get("colour", ())}
        if colours == {"black"}:
            os.kill(os.getpid(), signal.SIGKILL)
        if colours == {"slow"}:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(600)
        return Historical().fit(items, spec, at=at, rng=rng)

DOMAIN = Domain(
    name="balls", title="Balls", text="Balls.", entity="ball", grain="day",
    quantities=(Quantity("balls", "balls", "count", "day", (1, 20)),
                Quantity("metres", "metres", "size", "ball", (1, 200))),
    questions=(Question("all_metres", SumOver("metres", "balls"), "metres"),),
    label="metres", label_ripens=timedelta(hours=1), features=features,
    spec=FeatureSpec(categories=("colour",), version="balls-1"),
    models={"balls": ("historical",), "metres": (Moody(),)}, shares=("colour",),
)
'''


def events(colours: tuple[str, ...], days: int = 80) -> list[Event]:
    """Balls: the red ones roll further every day, all others keep their ways."""
    rng, found = np.random.default_rng(4), []
    for day in range(days):
        for colour in colours:
            for number in range(rng.poisson(4)):
                at = FIRST + timedelta(days=day, hours=int(rng.integers(20)), seconds=number)
                name = f"{colour}-{day}-{number}"
                metres = int(rng.poisson(40 if colour == "red" else 15))
                yes = {"colour": Exact(colour)}
                found.append(Event("lab", name, f"ball:{name}", yes, at))
                late = at + timedelta(hours=2)
                label = {"metres": Exact(metres)}
                found.append(Event("lab", f"{name}/m", f"ball:{name}", label, late))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "balls.py").write_text(DOMAIN)
    return tmp_path


def filled(home: Path, *colours: str) -> list[str]:
    with Store.open(home / "balls" / "facts.duckdb") as store:
        store.record(events(colours))
    return ["--var", str(home), "--domain", str(home / "balls.py"), "--json"]


def history(features: list[Features], per: timedelta = timedelta(hours=6)) -> History:
    n = len(features)
    items, _ = made.items(np.random.default_rng(1), n)
    at = items.at[0] + np.arange(n) * np.timedelta64(per)
    items = replace(items, features=features, at=at.astype("datetime64[us]"))
    days = -(-n // 4)
    y = np.bincount(np.arange(n) // 4, minlength=days).astype(float)
    counts = made.counts(y, start=aware(items.at[0]))
    return History(counts, items, counts.end, False)


def test_an_uncertain_thing_counts_for_one_label_right_on_average() -> None:
    unsure = [Features({"breed": (("pug", 0.7), ("beagle", 0.3))})] * 2000
    parts = Parts(history(unsure), seed=3)
    pugs = parts.part(Segment("breed", "pug"))
    beagles = parts.part(Segment("breed", "beagle"))
    whole = parts.history.counts
    assert np.array_equal(pugs.counts.y + beagles.counts.y, whole.y)
    # 2,000 draws: standard error 0.0102
    assert abs(pugs.counts.y.sum() / 2000 - 0.7) < 4 * 0.0102
    assert (len(pugs.items), len(beagles.items)) == (2000, 0)
    assert parts.by("breed") == [Segment("breed", "pug"), Segment("breed", "beagle")]
    assert parts.part(Segment("breed", "never seen")).counts.y.sum() == 0


def test_names_of_segments() -> None:
    domain = load_domain("sniffable")
    assert parse("breed=Pug", domain).name == "breed=pug"
    for wrong in ("breed", "breed=", "=pug"):
        with pytest.raises((FitError, UnknownNameError)):
            parse(wrong, domain)
    with pytest.raises(UnknownNameError, match="known: breed, region"):
        parse("hour=12", domain)


def learn(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    import json

    assert main(arguments) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slowish
def test_a_crash_and_a_hang_are_lines_and_touch_no_other(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = filled(home, "red", "blue", "black", "slow")
    report = learn([*arguments, "--by", "colour", "--deadline", "3"], capsys)
    lines = {line["segment"]: line for line in report["segments"]}
    assert "died (signal 9); tried 2 times" in lines["colour=black"]["failed"]
    assert "deadline of 12 s" in lines["colour=slow"]["failed"]
    assert lines["colour=red"]["failed"] is lines["colour=blue"]["failed"] is None
    release = SnapshotStore(home / "balls" / "snapshots").current()
    assert release is not None
    assert sorted(release.segments) == ["colour=blue", "colour=red"]
    answerer = Answerer.load(
        load_domain(str(home / "balls.py")), SnapshotStore(home / "balls" / "snapshots"), release
    )
    assert answerer.ask("all_metres", where={"colour": "black"}).outcome.mean() > 0


@pytest.mark.slowish
def test_workers_and_one_process_give_the_same_bytes(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*filled(home, "red", "blue"), "--by", "colour"]
    first = learn(arguments, capsys)
    again = learn(arguments, capsys)
    assert again["nothing_to_do"]
    alone = learn([*arguments, "--again", "--workers", "0"], capsys)
    assert first["release"] == again["release"] == alone["release"]
    assert not alone["nothing_to_do"]


@pytest.mark.slowish
def test_a_better_record_is_used_by_answers_and_only_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = filled(home, "red", "blue")
    learn([*arguments, "--segment", "colour=red"], capsys)
    store = SnapshotStore(home / "balls" / "snapshots")
    release = store.current()
    assert release is not None
    entry = release.segments["colour=red"]
    domain = load_domain(str(home / "balls.py"))
    used = replace(
        release,
        segments={
            "colour=red": {
                name: {**line, "in_use": True, "record": {"gain": 0.1, "error": 0.01}}
                for name, line in entry.items()
            }
        },
    )
    answers = Answerer.load(domain, store, used)
    red = answers.ask("all_metres", where={"colour": "red"})
    mine = {use.snapshot for use in red.models}
    assert mine == {name for line in entry.values() for name in line["models"].values()}
    assert any("models of its own" in note for note in red.notes)
    # 4 red balls a day that roll 40 metres: everybody agrees, by their own way
    assert abs(red.outcome.mean() - 160) < 60
    blue = answers.ask("all_metres", where={"colour": "blue"})
    assert not mine & {use.snapshot for use in blue.models}
    name = next(iter(entry["metres"]["models"].values()))
    (store.root / "models" / name / "arrays.npz").write_bytes(b"rubbish")
    damaged = Answerer.load(domain, store, used).ask("all_metres", where={"colour": "red"})
    assert "the models of everything answer" in str(damaged.degraded)


@pytest.mark.slowish
def test_killed_half_way_it_goes_on_where_it_stopped(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*filled(home, "red", "blue", "green", "slow"), "--deadline", "30"]
    by = [*arguments, "--segment", "colour=red", "--segment", "colour=green"]
    hangs = [*by, "--segment", "colour=slow", "--segment", "colour=blue"]
    command = [sys.executable, "-m", "worlds.learn", *hangs]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    work = home / "balls" / "snapshots" / "work"
    deadline = time.monotonic() + 120
    while len(list(work.glob("*/*.json"))) < 5:  # both quantities, red, green and blue
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    children = _children(process.pid)
    process.kill()
    process.wait()
    assert children
    while any(Path(f"/proc/{child}").exists() and not _zombie(child) for child in children):
        assert time.monotonic() < deadline  # workers do not outlive the run
        time.sleep(0.1)
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*/*.json")}
    report = learn([*by, "--segment", "colour=blue"], capsys)
    assert len(report["segments"]) == 3
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in work.glob("*/*.json")}.items()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    more = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return sorted({*(int(child) for child in text.split()), *more})


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_signal_of_a_dead_parent_is_sent(tmp_path: Path) -> None:
    """A process that learns ends with the one that started it, even if that is killed."""
    child = (
        "import os, sys, time; from worlds.learn.lifeline import die_with; "
        f"die_with(os.getppid()); open({str(tmp_path / 'up')!r}, 'w').write(str(os.getpid())); "
        "time.sleep(60)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + 30
    while not (tmp_path / "up").exists() or not (tmp_path / "up").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((tmp_path / "up").read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while Path(f"/proc/{pid}").exists() and not _zombie(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
