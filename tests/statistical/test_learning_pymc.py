"""Audit of the fast inference of the learned sizes by sampling the same model."""

import numpy as np
import pytest

from tests.worlds.learn import made
from worlds.learn import gate, registry
from worlds.learn.protocol import Fit, SizeModel
from worlds.learn.series import aware

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")  # what samplers and compilers warn of is not ours
def test_the_fast_posterior_is_that_of_nuts() -> None:
    items, _ = made.items(np.random.default_rng(3), 800)
    at = aware(items.at[-1])
    fits = []
    for name in ("learned", "learned_pymc"):
        model = registry.find("size", name)
        assert isinstance(model, SizeModel)
        found = model.fit(items, made.SPEC, at=at, rng=np.random.default_rng(0))
        assert isinstance(found, Fit)
        fits.append(found)
    fast, slow = fits
    assert all(check["passed"] for check in gate.convergence(slow.inference))
    mine, theirs = (fit.form.draws.astype(float) for fit in fits)  # type: ignore[union-attr]
    assert fast.form.columns == slow.form.columns  # type: ignore[union-attr]
    # 256 draws each: the difference of the means has a standard error of 0.09 posterior sds;
    # half a posterior sd is what the approximations may cost
    error = np.abs(mine.mean(1) - theirs.mean(1)) / theirs.std(1)
    assert error.max() < 0.5
    ratio = mine.std(1) / theirs.std(1)
    assert ratio.min() > 0.7
    assert ratio.max() < 1.35
    for item in items.features[-40:]:
        near, far = (
            fit.form.predict(item, at).quantile([0.05, 0.5, 0.95])  # type: ignore[union-attr]
            for fit in fits
        )
        # quantiles are whole likes: one like is rounding, an eighth what the sizes may differ by
        assert (np.abs(near - far) <= np.maximum(1.0, far / 8)).all()
