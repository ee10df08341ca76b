"""Read a decision from its JSON form and make it."""

from collections.abc import Mapping, Sequence

from worlds.core.costs import Costs, Option
from worlds.core.decide import Decision, decide
from worlds.core.newsvendor import Provision, newsvendor, provision
from worlds.core.outcome import Outcome
from worlds.core.resolved import check_amount
from worlds.errors import QuestionError

COSTS = {"unit_cost": "unit", "shortfall_cost": "short", "over_cost": "over"}
FIELDS = ("service_level", "options", "capacities", *COSTS, "risk")
OPTION_FIELDS = ("name", "capacity", "fixed_cost")


def decide_from(outcome: Outcome, raw: Mapping[str, object]) -> Decision | Provision:
    """Decide as a mapping of plain values says.

    Parameters
    ----------
    outcome
        The distribution of what is needed.
    raw
        One of three forms:
        ``{"service_level": 0.99}``;
        ``{"capacities": [100, 200], "unit_cost": 1, "shortfall_cost": 5}``, or with
        ``"options": [{"name": "two servers", "capacity": 200, "fixed_cost": 30}, ...]``;
        ``{"shortfall_cost": 5, "over_cost": 2}`` for a free quantity. ``"risk": 0.95`` may be
        added to the last two.

    Raises
    ------
    QuestionError
        If it is none of these, with the field and the value that is wrong.
    """
    if not isinstance(raw, Mapping):
        msg = f"a decision is an object with some of {', '.join(FIELDS)}; got {raw!r}"
        raise QuestionError(msg)
    _known(raw, FIELDS, "a decision")
    if "service_level" in raw:
        _known(raw, ("service_level",), "a decision by service level")
        return provision(outcome, _number(raw, "service_level"))
    costs = Costs(**{short: _number(raw, name, 0.0) for name, short in COSTS.items()})
    risk = _number(raw, "risk", 0.95)
    if "options" in raw or "capacities" in raw:
        return decide(outcome, _options(raw), costs, risk=risk)
    if "shortfall_cost" not in raw:
        msg = (
            "say service_level, options, capacities, or shortfall_cost with over_cost or unit_cost"
        )
        raise QuestionError(msg)
    return newsvendor(outcome, costs, risk=risk)


def _options(raw: Mapping[str, object]) -> list[Option]:
    options = []
    for value in _listed(raw, "capacities"):
        capacity = check_amount("a capacity", value)
        options.append(Option(f"{capacity:,.12g}", capacity))
    for entry in _listed(raw, "options"):
        if not isinstance(entry, Mapping):
            msg = f"an option is an object with {', '.join(OPTION_FIELDS)}; got {entry!r}"
            raise QuestionError(msg)
        _known(entry, OPTION_FIELDS, "an option")
        capacity = _number(entry, "capacity")
        name = entry.get("name", f"{capacity:,.12g}")
        if not isinstance(name, str):
            msg = f"the name of an option must be text; got {name!r}"
            raise QuestionError(msg)
        options.append(Option(name, capacity, _number(entry, "fixed_cost", 0.0)))
    return options


def _listed(raw: Mapping[str, object], name: str) -> Sequence[object]:
    value = raw.get(name, [])
    if not isinstance(value, Sequence) or isinstance(value, str):
        msg = f"{name} must be a list; got {value!r}"
        raise QuestionError(msg)
    return value


def _number(raw: Mapping[str, object], name: str, default: float | None = None) -> float:
    if name not in raw and default is not None:
        return default
    if name not in raw:
        msg = f"{name} is missing"
        raise QuestionError(msg)
    return check_amount(name, raw[name])


def _known(raw: Mapping[str, object], fields: Sequence[str], what: str) -> None:
    strange = sorted(str(name) for name in raw if name not in fields)
    if strange:
        msg = f"{what} takes {', '.join(fields)}; got {', '.join(strange)}"
        raise QuestionError(msg)
