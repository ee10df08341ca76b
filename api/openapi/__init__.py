"""The OpenAPI 3.1 document, made from the structs, the table of problems and the domain."""

from api.openapi.components import components
from api.openapi.forms import formed, releases
from api.openapi.inference import inference, schemas
from api.openapi.paths import paths
from api.openapi.security import SCHEMES, secured
from api.openapi.supervising import supervising_components
from api.openapi.watching import watching
from api.service import Service

__all__ = ["document"]

VERSION = "1.0.0"


def document(service: Service) -> dict[str, object]:
    """Return the document of a service: its domain's drafts, labels and questions are in it."""
    domain = service.domain
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Possible worlds: {domain.title}",
            "version": VERSION,
            "description": f"{domain.text} Every answer is a distribution over possible worlds.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": secured(formed(paths(domain) | inference(domain) | releases() | watching())),
        "components": {
            "schemas": components(domain, service.settings.batch_limit)
            | schemas(domain)
            | supervising_components(),
            "securitySchemes": SCHEMES,
        },
    }
