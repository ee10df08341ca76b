import numpy as np
import pytest

from worlds.core.features import Features, FeatureSpec
from worlds.learn import design

SPEC = FeatureSpec(("breed",), ("hashtag",), ("length", "never", "constant"))


def test_uncertain_labels_enter_by_their_probability_and_tags_once() -> None:
    things = [
        Features({"breed": (("pug", 0.7), ("beagle", 0.3))}, {"hashtag": ("a", "b", "a")}),
        Features({"breed": (("pug", 0.9), ("beagle", 0.1))}, {"hashtag": ("a",)}),
        Features({"breed": (("beagle", 0.8), ("pug", 0.2))}, {"hashtag": ()}),
        Features(),
    ]
    found = design.build(things, SPEC)
    assert found.columns == ("breed=beagle", "breed=pug", "hashtag=a", "hashtag=b")
    assert found.matrix.toarray() == pytest.approx(
        np.array([[0.3, 0.7, 1, 1], [0.1, 0.9, 1, 0], [0.8, 0.2, 0, 0], [0, 0, 0, 0]])
    )
    assert found.groups["hashtag"].tolist() == [2, 3]


def test_labels_met_too_seldom_have_no_column() -> None:
    things = [Features({"breed": (("pug", 0.8), ("rare", 0.2))}) for _ in range(4)]
    assert design.build(things, SPEC).columns == ("breed=pug",)


def test_only_the_most_frequent_labels_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design, "MOST_LABELS", 2)
    tags = [("a", "b"), ("a", "b"), ("a", "c")]
    found = design.build([Features(tags={"hashtag": t}) for t in tags], SPEC)
    assert found.columns == ("hashtag=a", "hashtag=b")


def test_numbers_are_standardised_saturate_and_are_zero_where_unknown(
    rng: np.random.Generator,
) -> None:
    values = [*rng.normal(50, 10, 400), 1e9]
    things = [Features(numbers={"length": float(v), "constant": 3.0}) for v in values]
    found = design.build([*things, Features()], SPEC)
    assert found.columns == ("number:length",)
    column = found.matrix.toarray()[:, 0]
    assert column[-1] == 0
    assert np.abs(column).max() < 5
    assert column[:-1].mean() == pytest.approx(0, abs=1e-9)
    entry = found.numbers["length"]
    assert column[7] == pytest.approx(entry.standard(values[7]))


def test_no_items_give_an_empty_design() -> None:
    found = design.build([], SPEC)
    assert found.columns == ()
    assert found.matrix.shape == (0, 0)


def test_uncertain_labels_leave_the_log_mean_unsettled() -> None:
    things = [
        Features({"breed": (("pug", 0.7), ("beagle", 0.3))}, {"hashtag": ("a", "b")}),
        Features({"breed": (("pug", 1.0),)}, {"hashtag": ("a",)}),
        Features({"breed": (("pug", 0.2), ("beagle", 0.8))}),
    ]
    found = design.build(things, SPEC)
    effects = np.array(
        [{"breed=pug": 0.5, "breed=beagle": -0.5}.get(c, 1.0) for c in found.columns]
    )
    variance = found.unsettled(effects, SPEC.categories)
    assert variance == pytest.approx([0.7 * 0.3, 0.0, 0.2 * 0.8])
