"""The likes of a post under BentoML: a draft comes and a prediction goes as JSON."""

import os
from pathlib import Path

import bentoml
from likes_model import Likes


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class LikesService:
    """One process, one endpoint; async, because the model is quick and computes in place."""

    def __init__(self) -> None:
        self.likes = Likes(Path(os.environ["LIKES"]))

    @bentoml.api
    async def predict(self, draft: dict, thresholds: list[float]) -> dict:
        """Answer a request."""
        return self.likes.predict(draft, thresholds)
