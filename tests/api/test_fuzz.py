"""What schemathesis makes of the document: no 5xx, only documented answers of documented form."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.cli.run import serving
from api.settings import Settings
from tests.api.building import publish

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
LEFT_OUT = {"learn", "events"}
"""One starts a process, the other never ends."""


def probe(operation: Any, mode: GenerationMode, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


@pytest.mark.slowish
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_any_request_gets_a_documented_answer(tmp_path: Path, mode: GenerationMode) -> None:
    publish(tmp_path)
    probed = 0
    with serving(Settings(var=str(tmp_path), port=0)) as address:
        schema = schemathesis.openapi.from_url(f"{address}/schema/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            raw = operation.definition.raw
            if raw["operationId"] in LEFT_OUT:
                continue
            if mode is GenerationMode.NEGATIVE and not {"parameters", "requestBody"} & set(raw):
                continue  # nothing can be wrong with it
            probe(operation, mode, 40)
            probed += 1
    assert probed >= 6
