"""The likes of a post in plain NumPy, for other model servers: same parameters, same numbers.

A negative binomial around a log-linear mean, for every published model and every breed the photo
may show, mixed by their weights. `likes.npz` and `likes.json` hold what was published, and the
distribution function of the negative binomial on a grid of log means.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

LEVELS = (0.5, 0.8, 0.9, 0.95)
NODES = np.array([-1.7320508075688772, 0.0, 1.7320508075688772])
WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Likes:
    """The published models in memory.

    Parameters
    ----------
    folder
        Where their parameters lie.
    """

    def __init__(self, folder: Path) -> None:
        arrays = np.load(folder / "likes.npz")
        said = json.loads((folder / "likes.json").read_text("utf-8"))
        self.means, self.covariances = arrays["means"], arrays["covariances"]
        self.counts, self.table = arrays["counts"], arrays["table"]
        self.low, self.step = said["low"], said["step"]
        self.columns = {name: i for i, name in enumerate(said["columns"])}
        self.unseen, self.number = said["unseen"], said["number"]
        self.weights, self.names = np.array(said["weights"]), said["names"]
        self.drift, self.reference = said["drift"], said["reference"]
        tails = [(1 - level) / 2 for level in LEVELS]
        self.probs = np.array([0.5, *tails, *(1 - tail for tail in tails)])

    def predict(self, draft: dict, thresholds: list[float]) -> dict:
        """Return what the likes of a post will be."""
        at = datetime.fromisoformat(draft["posted_at"]).astimezone(UTC)
        place = draft["place"]
        shared = {
            "hour": f"{at.hour:02d}",
            "photo": "photo" if draft["has_photo"] else "no_photo",
            "region": f"n{int(place['lat'])}e{int(place['lon']):03d}",
            "weekday": WEEKDAYS[at.weekday()],
        }
        variance = self.drift * max((at.timestamp() - self.reference) / 86400, 0.0)
        terms, values = [0], [1.0]
        labels = [*shared.items(), *(("hashtag", tag) for tag in draft["hashtags"])]
        for group, label in labels:
            column = self.columns.get(f"{group}={label}")
            if column is None:
                variance += self.unseen[group]
            else:
                terms.append(column)
                values.append(1.0)
        low, high, centre, scale = self.number
        terms.append(self.columns["number:text_length"])
        values.append((min(max(draft["text_length"], low), high) - centre) / scale)
        logs, sds, weights = [], [], []
        for breed, prob in draft["breed"].items():
            column = self.columns.get(f"breed={breed}")
            here, unseen = (
                (terms, self.unseen["breed"]) if column is None else ([*terms, column], 0.0)
            )
            x = np.array(values if column is None else [*values, 1.0])
            logs.append(self.means[:, here] @ x)
            inside = self.covariances[:, here][:, :, here]
            sds.append(np.sqrt(x @ inside @ x + variance + unseen))
            weights.append(prob * self.weights)
        return self._mixed(
            np.concatenate(logs), np.concatenate(sds), np.concatenate(weights), thresholds
        )

    def _mixed(
        self,
        logs: "np.ndarray",
        sds: "np.ndarray",
        weights: "np.ndarray",
        thresholds: list[float],
    ) -> dict:
        nodes = (logs[:, None] + sds[:, None] * NODES).ravel()
        share = (weights[:, None] * WEIGHTS).ravel()
        where = np.clip((nodes - self.low) / self.step, 0, len(self.table) - 2)
        row = where.astype(int)
        part = where - row
        cdf = (share * (1 - part)) @ self.table[row] + (share * part) @ self.table[row + 1]
        found = self.counts[np.minimum(np.searchsorted(cdf, self.probs), len(cdf) - 1)]
        above = 1 - np.interp(thresholds, self.counts, cdf)
        ends = [
            {"level": level, "low": float(found[1 + i]), "high": float(found[5 + i])}
            for i, level in enumerate(LEVELS)
        ]
        return {
            "mean": float(share @ np.exp(nodes)),
            "median": float(found[0]),
            "intervals": ends,
            "exceedance": [
                {"threshold": threshold, "prob": float(prob)}
                for threshold, prob in zip(thresholds, above, strict=True)
            ],
            "models": [
                {"name": name, "weight": float(weight)}
                for name, weight in zip(self.names, self.weights, strict=True)
            ],
        }
