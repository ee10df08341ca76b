"""Paths of questions, formulas and scenarios."""

from api.openapi.components import COUNT, NUMBER, TEXT, array, record, ref
from api.openapi.parts import BODY, JSON, TIME, Json, body, operation, query, responses
from worlds.domain import Domain
from worlds.viewing import views


def asking(domain: Domain) -> Json:
    """Return the paths."""
    return {
        "/v1/questions": {"get": _questions()},
        "/v1/questions/{question}": {"get": _ask(domain), "post": _ask_with_body(domain)},
        "/v1/questions/{question}/compare": {"post": _compare(domain)},
        "/v1/query": {"post": _query(domain)},
        "/v1/query/compare": {"post": _compare_query(domain)},
        "/v1/scenarios": {"get": _scenarios()},
        "/v1/scenarios/{scenario}": {
            "get": _scenario("scenario", "A scenario. By its name or its id."),
            "put": _save(domain),
            "delete": _scenario("remove_scenario", "Remove a scenario. By its name or its id."),
        },
    }


def _questions() -> Json:
    return operation(
        "questions",
        "questions",
        "Questions. With the quantities they are about.",
        responses(200, {"type": "object"}, 400),
    )


def _name(domain: Domain) -> Json:
    names = [question.name for question in domain.questions]
    names += [view.name for view in views(domain)]
    return {
        "name": "question",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": names},
    }


def _ask(domain: Domain) -> Json:
    count = domain.quantity("count").name
    return operation(
        "ask",
        "questions",
        "Ask by query string. Every part may be left out.",
        responses(200, "Answer", 400, 404, 422, 503),
        parameters=[
            _name(domain),
            query("threshold", TEXT, "A number, or a comparison", "> 1000"),
            query("level", array(NUMBER), "Levels of the intervals", [0.5, 0.9]),
            query("given", array(TEXT), "Conditions", [f"{count}>=3"]),
            query("do", array(TEXT), "Interventions", [f"{count}=x2"]),
            query("where", array(TEXT), "Only things like this", [f"{domain.shares[0]}=pug"])
            if domain.shares
            else query("where", array(TEXT), "Not in this domain", []),
            query("over", COUNT, "The total of so many periods, and each of them", 3),
            query("by", TEXT, "Each label of a category by itself as well", domain.shares[0])
            if domain.shares
            else query("by", TEXT, "Not in this domain", ""),
            query("as_of", TIME, "As known then", "2026-11-20T19:30:00Z"),
            query("error", NUMBER, "The error of a probability that will do", 0.001),
            query("deadline", NUMBER, "Seconds; then the best answer so far, with its error", 1),
        ],
    )


def _ask_with_body(domain: Domain) -> Json:
    count = domain.quantity("count").name
    example = {"threshold": 1000, "levels": [0.5, 0.9], "do": {count: {"times": 2}}}
    options = {"capacities": [500, 1000, 2000], "unit_cost": 1, "shortfall_cost": 5}
    return operation(
        "ask_with_body",
        "questions",
        "Ask. given conditions (Bayes); do intervenes and leaves the weights. explain adds where "
        "the width comes from; decide adds what to provide.",
        responses(200, "Answer", *BODY, 404, 422, 503),
        parameters=[_name(domain)],
        requestBody=body(
            {
                JSON: {
                    "schema": ref("QuestionRequest"),
                    "examples": {
                        "what if": {"value": example},
                        "explain": {"value": {"threshold": 1000, "explain": True, "acts_at": 0.1}},
                        "provide": {"value": {"decide": {"service_level": 0.99}}},
                        "choose": {"value": {"decide": options}},
                    },
                }
            }
        ),
    )


def _query(domain: Domain) -> Json:
    count, size = domain.quantity("count").name, domain.quantity("size").name
    total = f"sum({size}, {count})"
    return operation(
        "query",
        "questions",
        "Ask a formula. Over the quantities of the domain, with + - * / ( ) comparisons, sum, min, "
        "max, abs, floor, ceil, if, over, under and steps; the route is exact where it can be. A "
        "formula that cannot be read is answered with the place: line, column and the text there.",
        responses(200, "Answer", *BODY, 404, 422, 503),
        requestBody=body(
            {
                JSON: {
                    "schema": ref("FormulaRequest"),
                    "examples": {
                        "money": {"value": {"formula": f"{total} * 0.02", "unit": "EUR"}},
                        "overflow": {
                            "value": {
                                "formula": f"over({total}, 500)",
                                "conditions": [f"{count} > 3"],
                                "error": 0.001,
                                "deadline": 1,
                                "explain": True,
                            }
                        },
                    },
                }
            }
        ),
    )


def _compare(domain: Domain) -> Json:
    count = domain.quantity("count").name
    one = {"name": "growth", "do": {count: {"times": [1.2, 2]}}}
    other = {"name": "twice", "do": {count: {"times": 2}}}
    return operation(
        "compare",
        "scenarios",
        "Compare scenarios. Stored ones or those of the request, on common worlds, with the first "
        "(a single one with things as they are): the difference as a distribution, and how "
        "probable it is that one brings more.",
        responses(200, "Comparison", *BODY, 404, 422, 503),
        parameters=[_name(domain)],
        requestBody=body(
            {
                JSON: {
                    "schema": ref("CompareRequest"),
                    "examples": {
                        "with now": {"value": {"scenarios": [one], "threshold": 1000}},
                        "two": {"value": {"scenarios": [other, one]}},
                    },
                }
            }
        ),
    )


def _compare_query(domain: Domain) -> Json:
    count, size = domain.quantity("count").name, domain.quantity("size").name
    one = {"name": "growth", "do": {count: {"times": [1.2, 2]}}}
    money = {"formula": f"sum({size}, {count}) * 0.02", "unit": "EUR", "scenarios": [one]}
    return operation(
        "compare_query",
        "scenarios",
        "Compare scenarios of a formula. As with a question of the domain.",
        responses(200, "Comparison", *BODY, 404, 422, 503),
        requestBody=body(
            {
                JSON: {
                    "schema": ref("FormulaCompareRequest"),
                    "examples": {"money": {"value": money}},
                }
            }
        ),
    )


_SCENARIO: Json = {
    "name": "scenario",
    "in": "path",
    "required": True,
    "description": "Name (or, where it is there already, id) of a scenario.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 100},
}


def _scenarios() -> Json:
    listed = record("All scenarios.", scenarios=array(ref("Scenario")))
    return operation(
        "scenarios",
        "scenarios",
        "Stored scenarios. Named sets of given, do and where, each with an id of its content.",
        responses(200, listed, 400, 503),
    )


def _scenario(name: str, text: str) -> Json:
    return operation(
        name,
        "scenarios",
        text,
        responses(200, "Scenario", 400, 404, 422, 503),
        parameters=[_SCENARIO],
    )


def _save(domain: Domain) -> Json:
    count = domain.quantity("count").name
    example = {"do": {count: {"times": [1.2, 2]}}, "text": "It grows, nobody knows how much."}
    return operation(
        "save_scenario",
        "scenarios",
        "Store a scenario. Its name then means this one; the id is made of the content.",
        responses(200, "Scenario", *BODY, 404, 422, 503),
        parameters=[_SCENARIO],
        requestBody=body({JSON: {"schema": ref("ScenarioRequest"), "example": example}}),
    )
