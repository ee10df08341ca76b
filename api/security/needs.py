"""What every route asks of a key: one scope, and the cost units it takes from the key's budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

type Scope = Literal["facts:write", "predict", "query", "operate", "admin"]

SCOPES: tuple[str, ...] = get_args(Scope.__value__)
ADMIN = "admin"
"""This scope includes every other one."""

MEANINGS: Mapping[str, str] = {
    "facts:write": "record facts",
    "predict": "predictions, and the Open Inference Protocol",
    "query": "everything that reads: questions, formulas, scenarios, facts, models, watching",
    "operate": "learning anew, releases, overrides, experiments: what changes the service",
    "admin": "all of these",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks for.

    Parameters
    ----------
    scope
        The scope; None where any key will do.
    cost
        Cost units taken from the key's budget.
    keyless
        Whether it answers without a key.
    """

    scope: str | None
    cost: int = 0
    keyless: bool = False


LIVE = Need(None, keyless=True)
ANY = Need(None)
PREDICT = Need("predict")
QUERY = Need("query")
OPERATE = Need("operate")

TABLE: Mapping[tuple[str, str], Need] = {
    ("GET", "/health/live"): LIVE,
    ("GET", "/v2/health/live"): LIVE,
    ("GET", "/health/ready"): ANY,
    ("GET", "/"): ANY,
    ("GET", "/docs"): ANY,
    ("GET", "/problems"): ANY,
    ("GET", "/schema/openapi.json"): ANY,
    ("POST", "/v1/facts"): Need("facts:write"),
    ("GET", "/v1/facts"): Need("query", 1),
    ("GET", "/v1/quarantine"): Need("query", 1),
    ("GET", "/v1/questions/{question}"): Need("query", 1),
    ("POST", "/v1/questions/{question}"): Need("query", 2),
    ("POST", "/v1/questions/{question}/compare"): Need("query", 10),
    ("POST", "/v1/query"): Need("query", 5),
    ("POST", "/v1/query/compare"): Need("query", 20),
    ("PUT", "/v1/scenarios/{scenario}"): QUERY,
    ("DELETE", "/v1/scenarios/{scenario}"): QUERY,
    ("POST", "/v1/learn"): Need("operate", 50),
    ("POST", "/v1/erasures"): Need(ADMIN),
}
"""What is listed here is so; for all others the beginning of the path or the method decides."""

PREFIXES: Mapping[str, Need] = {"/static/": ANY, "/v1/predictions/": PREDICT, "/v2": PREDICT}


def need(method: str, path: str) -> Need:
    """Return what a route asks for.

    Parameters
    ----------
    method, path
        Of the route; the path as a template, ``/v1/questions/{question}``.
    """
    found = TABLE.get((method, path))
    if found is not None:
        return found
    for prefix, wanted in PREFIXES.items():
        if path.startswith(prefix):
            return wanted
    return QUERY if method in ("GET", "HEAD") else OPERATE
