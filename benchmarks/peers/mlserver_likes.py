"""The likes of a post under MLServer: a draft comes and a prediction goes as a text of JSON."""

import json
from pathlib import Path

from likes_model import Likes
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class LikesRuntime(MLModel):
    """A model of the Open Inference Protocol."""

    async def load(self) -> bool:
        """Load the parameters."""
        self.likes = Likes(Path(self._settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request."""
        wanted = json.loads(payload.inputs[0].data[0])
        found = self.likes.predict(wanted["draft"], wanted["thresholds"])
        said = json.dumps(found)
        output = ResponseOutput(name="prediction", shape=[1], datatype="BYTES", data=[said])
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
