"""Laws of every domain: declarations that fit together, extractors that take anything."""

import importlib
import math
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import facts
from tests.contracts.domains import DOMAINS, SHIPPED, USER_FILE
from worlds.core.features import Features, from_json, to_json
from worlds.domain import Domain, load_domain
from worlds.learn import history

every_domain = pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: d.name)

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.datetimes(),
    st.sampled_from(["pug", "Golden Retriever", "#adorabull", "inf", "1e999", "2026-13-01", "ß İ"]),
)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
VALUES = st.one_of(
    NESTED,
    st.fixed_dictionaries({"lat": NESTED, "lon": NESTED}, optional={"radius95_m": NESTED}),
    st.fixed_dictionaries(
        {"lat": st.floats(-95, 95), "lon": st.floats(-190, 190), "radius95_m": st.floats(-1, 1e8)}
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["categorical", "exact", "normal", "point", "new kind"])},
        optional={"alternatives": NESTED, "value": NESTED, "mean": NESTED},
    ),
    st.dictionaries(st.text(max_size=8), st.floats(), max_size=9),
    st.builds(lambda p: facts.Categorical(("pug", "other"), (p, 1 - p)), st.floats(0.01, 0.99)),
    st.builds(facts.Exact, st.one_of(st.integers(-5, 500), STORABLE, st.booleans())),
)


def rows(domain: Domain) -> st.SearchStrategy[dict[str, object]]:
    names = [field.name for field in domain.draft] + list(domain.spec.categories)
    return st.dictionaries(
        st.one_of(st.sampled_from(names), st.text(max_size=8)), VALUES, max_size=8
    )


def check(features: Features, domain: Domain) -> None:
    assert set(features.categories) <= set(domain.spec.categories)
    assert set(features.tags) <= set(domain.spec.tags)
    assert set(features.numbers) <= set(domain.spec.numbers)
    for alternatives in features.categories.values():
        labels = [label for label, _ in alternatives]
        assert len(set(labels)) == len(labels) > 0
        assert all(isinstance(label, str) and label for label in labels)
        assert all(0 < prob <= 1 for _, prob in alternatives)
        assert math.isclose(sum(prob for _, prob in alternatives), 1, abs_tol=1e-9)
    for tags in features.tags.values():
        assert all(isinstance(tag, str) and tag for tag in tags)
        assert len(set(tags)) == len(tags)
    assert all(math.isfinite(value) for value in features.numbers.values())
    assert from_json(to_json(features)) == features  # type: ignore[arg-type]


def test_names_of_domains_are_unique() -> None:
    names = [domain.name for domain in DOMAINS]
    assert len(set(names)) == len(names)
    assert len(DOMAINS) >= 3


@pytest.mark.parametrize("domain", SHIPPED, ids=lambda d: d.name)
def test_a_shipped_domain_is_found_by_its_name(domain: Domain) -> None:
    assert load_domain(domain.name) is domain
    assert load_domain(f"worlds.domains.{domain.name}:DOMAIN") is domain


def test_a_users_domain_is_found_by_its_path() -> None:
    assert load_domain(str(USER_FILE)).name == "helpline"


@every_domain
def test_quantities_have_names_units_and_a_usual_range(domain: Domain) -> None:
    names = [quantity.name for quantity in domain.quantities]
    assert len(set(names)) == len(names)
    for quantity in domain.quantities:
        assert quantity.name.isidentifier()
        assert quantity.unit
        assert quantity.text
        low, high = quantity.usual
        assert 0 <= low < high < math.inf
    assert domain.quantity("count").per == domain.grain
    assert domain.quantity("size").per == domain.entity


@every_domain
def test_every_quantity_has_models_of_its_role(domain: Domain) -> None:
    assert set(domain.models) == {quantity.name for quantity in domain.quantities}
    for quantity in domain.quantities:
        names = [getattr(model, "name", model) for model in domain.models[quantity.name]]
        assert len(set(names)) == len(names) >= 2, "worlds need competing models"
        assert all(isinstance(name, str) and name for name in names)
        for model in domain.models[quantity.name]:
            if not isinstance(model, str):
                assert getattr(model, "role", None) == quantity.role
                assert callable(getattr(model, "fit", None))


@every_domain
def test_spec_and_shares_are_consistent(domain: Domain) -> None:
    groups = [*domain.spec.categories, *domain.spec.tags, *domain.spec.numbers]
    assert len(set(groups)) == len(groups)
    assert not any("=" in group or ":" in group for group in groups)
    assert set(domain.shares) <= set(domain.spec.categories)
    assert domain.spec.version
    assert domain.label
    assert domain.label_ripens >= timedelta(0)


@every_domain
def test_mapping_and_simulator_are_there(domain: Domain) -> None:
    if domain.mapping is not None:
        facts.load_mapping(domain.mapping)
    if domain.simulate is not None:
        module, _, name = domain.simulate.partition(":")
        simulate = getattr(importlib.import_module(module), name)
        end = datetime(2026, 11, 20, tzinfo=UTC)
        event = next(iter(simulate(3, 2, end)))
        assert event.entity.startswith(f"{domain.entity}:")
        assert event.valid_from <= end


@every_domain
def test_draft_fields_are_explained_and_matter(domain: Domain) -> None:
    names = [field.name for field in domain.draft]
    assert len(set(names)) == len(names) > 0
    nothing = domain.features({})
    for field in domain.draft:
        assert field.text
        tried: list[object] = [field.example]
        if field.type == "truth":
            tried.append(not field.example)
        assert any(domain.features({field.name: value}) != nothing for value in tried), field.name


@every_domain
def test_the_example_draft_says_everything(domain: Domain) -> None:
    found = domain.features({field.name: field.example for field in domain.draft})
    check(found, domain)
    assert set(found.categories) == set(domain.spec.categories)
    assert set(found.numbers) == set(domain.spec.numbers)
    assert all(found.tags[group] for group in domain.spec.tags)


@every_domain
def test_nothing_known_is_accepted(domain: Domain) -> None:
    check(domain.features({}), domain)


@every_domain
def test_extractor_can_be_sent_to_another_process(domain: Domain) -> None:
    if domain in SHIPPED:
        assert pickle.loads(pickle.dumps(domain)).features({}) == domain.features({})  # noqa: S301 - our own bytes


@every_domain
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_extractor_takes_anything_and_stays_within_its_spec(
    domain: Domain, data: st.DataObject
) -> None:
    row = data.draw(rows(domain))
    found = domain.features(row)
    check(found, domain)
    assert domain.features(row) == found


@every_domain
@settings(max_examples=100, deadline=None)
@given(label=st.text(max_size=20))
def test_a_share_can_be_named_by_its_label(domain: Domain, label: str) -> None:
    for category in domain.shares:
        found = domain.features({category: label}).categories.get(category, ())
        if found:
            settled = found[0][0]
            again = domain.features({category: settled}).categories[category]
            assert again == ((settled, 1.0),)


@every_domain
def test_a_label_never_heard_of_keeps_its_name(domain: Domain) -> None:
    for category in domain.shares:
        found = domain.features({category: "Quokka"}).categories[category]
        assert found == (("quokka", 1.0),)


def stored(field_type: str, example: object) -> object:
    """Return the example of a draft field in the JSON form in which facts keep it."""
    match field_type:
        case "probabilities":
            return {"kind": "categorical", "alternatives": example}
        case "place":
            assert isinstance(example, Mapping)
            return {"kind": "point", **example}
        case "texts":
            assert isinstance(example, list)
            return facts.Exact.listing(example).to_json()
        case _:
            return example


@every_domain
def test_a_draft_and_the_stored_facts_of_the_same_thing_give_the_same_features(
    domain: Domain,
) -> None:
    draft = {field.name: field.example for field in domain.draft}
    row = {field.name: stored(field.type, field.example) for field in domain.draft}
    values = {name: facts.parse_value(raw) for name, raw in row.items()}
    expected = domain.features(draft)
    assert domain.features(row) == expected
    assert domain.features(values) == expected
    turned = {k: v[::-1] if isinstance(v, list) else v for k, v in draft.items()}
    assert domain.features(turned) == expected


@every_domain
def test_learning_sees_the_features_that_serving_sees(domain: Domain, tmp_path: Path) -> None:
    draft = {field.name: field.example for field in domain.draft}
    times = [field.name for field in domain.draft if field.type == "time"]
    begin = datetime(2026, 11, 20, 19, 30, tzinfo=UTC)
    values = {
        field.name: facts.parse_value(stored(field.type, field.example))
        for field in domain.draft
        if field.name not in times
    }
    with facts.Store.open(tmp_path / "facts.duckdb") as store:
        store.record([facts.Event("app", "1", f"{domain.entity}:1", values, begin)])
        known = store.reader().last_recorded()
        assert known is not None
        until = begin + 2 * domain.step
        items = history.read(domain, store.reader(), as_of=known, until=until).items
    (learned,) = items.features
    assert learned == domain.features({**draft, **dict.fromkeys(times, begin.isoformat())})
