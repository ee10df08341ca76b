from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from api.settings import Settings
from tests.api.building import NOW, publish

HERE = "http://127.0.0.1"

type Client = TestClient[Litestar]


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "var"


def client_of(var: Path, **settings: Any) -> Client:
    chosen = Settings(**{"var": str(var), "poll_seconds": 0.05, **settings})
    return TestClient(create_app(chosen, now=lambda: NOW), base_url=HERE)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service with published models; one for all tests of a module."""
    var = tmp_path_factory.mktemp("service") / "var"
    publish(var)
    with client_of(var) as client:
        yield client
