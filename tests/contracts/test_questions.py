"""Laws of every question of every domain."""

from pathlib import Path

import numpy as np
import pytest

from tests.contracts.domains import DOMAINS, SHIPPED
from worlds.ask import Answerer
from worlds.core.questions import Amount, Question, SumOver
from worlds.domain import Domain
from worlds.errors import UnknownNameError
from worlds.publish import SnapshotStore

README = Path(__file__).parents[2] / "README.md"
QUESTIONS = [(domain, question) for domain in DOMAINS for question in domain.questions]
every_question = pytest.mark.parametrize(
    ("domain", "question"), QUESTIONS, ids=[f"{d.name}-{q.name}" for d, q in QUESTIONS]
)


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: d.name)
def test_names_are_unique(domain: Domain) -> None:
    names = [question.name for question in domain.questions]
    assert len(set(names)) == len(names) > 0
    with pytest.raises(UnknownNameError, match=names[0]):
        domain.question("likes_in_the_year_3000")


@every_question
def test_it_has_a_unit_and_asks_something(domain: Domain, question: Question) -> None:
    assert question.name.isidentifier()
    assert question.unit
    assert question.text.endswith("?")
    assert question.threshold is None or question.threshold > 0


@every_question
def test_it_refers_to_declared_quantities_of_the_right_role(
    domain: Domain, question: Question
) -> None:
    roles = {quantity.name: quantity.role for quantity in domain.quantities}
    units = {quantity.name: quantity.unit for quantity in domain.quantities}
    match question.formula:
        case SumOver(size=size, count=count):
            assert (roles[size], roles[count]) == ("size", "count")
            assert question.unit == units[size]
        case Amount(name=name):
            assert question.unit == units[name]


@pytest.mark.slowish
@every_question
def test_it_is_answered_before_anything_was_learned(
    domain: Domain, question: Question, tmp_path: Path
) -> None:
    answerer = Answerer.load(domain, SnapshotStore(tmp_path), None)
    answer = answerer.ask(question.name).to_dict()
    assert answer["degraded"]
    assert answer["unit"] == question.unit
    assert np.isfinite([answer["mean"], answer["sd"], answer["median"]]).all()
    ends = [(entry["low"], entry["high"]) for entry in answer["intervals"]]
    assert all(0 <= low <= answer["median"] <= high for low, high in ends)
    assert all(ends[i][1] <= ends[i + 1][1] for i in range(len(ends) - 1))
    if question.threshold is not None:
        assert 0 < answer["exceedance"]["prob"] < 1, "a threshold worth asking about"


@pytest.mark.slowish
@every_question
def test_doubling_what_it_needs_never_lowers_it(
    domain: Domain, question: Question, tmp_path: Path
) -> None:
    answerer = Answerer.load(domain, SnapshotStore(tmp_path), None)
    plain = answerer.ask(question.name).outcome
    for name in question.formula.names():
        doubled = answerer.ask(question.name, do={name: {"times": 2}}).outcome
        assert doubled.mean() == pytest.approx(2 * plain.mean(), rel=1e-9)
        assert doubled.quantile(0.9) >= plain.quantile(0.9)


@pytest.mark.parametrize(
    "question", [q for d in SHIPPED for q in d.questions], ids=lambda q: q.name
)
def test_it_is_documented_in_the_readme(question: Question) -> None:
    rows = [
        line
        for line in README.read_text().splitlines()
        if line.startswith(f"| `{question.name}` |")
    ]
    assert rows, f"README.md needs a table row that starts with | `{question.name}` |"
    assert question.unit in rows[0]
