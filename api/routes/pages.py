"""Pages for people: a landing page, the documentation, the problems. Nothing comes from outside."""

from collections.abc import Callable
from html import escape
from pathlib import Path

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from api.problems import KINDS
from api.service import Service

STATIC = Path(__file__).parents[1] / "static"
SCRIPT = "rapidoc-min.js"
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;"
    "color:#1e293b}code,pre{background:#f1f5f9;border-radius:4px;padding:.1rem .3rem}"
    "pre{padding:.8rem;overflow:auto}a{color:#0369a1}dt{font-weight:600;margin-top:1rem}"
)


def page(title: str, body: str) -> str:
    """Return a whole HTML page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def html(text: str) -> ASGIResponse:
    """Return an HTML reply that may load nothing from elsewhere."""
    return ASGIResponse(
        body=text.encode(), media_type="text/html", headers={"content-security-policy": POLICY}
    )


def landing(service: Service) -> str:
    """Return the first page."""
    domain = service.domain
    questions = "".join(
        f'<li><a href="/v1/questions/{escape(question.name)}">{escape(question.name)}</a>: '
        f"{escape(question.text)} ({escape(question.unit)})</li>"
        for question in domain.questions
    )
    release = service.serving.current.answerer.release
    state = f"Models as of {release.as_of:%Y-%m-%d %H:%M %Z}." if release else "No models yet."
    if release and release.simulated:
        state += " The facts behind them are <strong>simulated</strong>."
    name = domain.questions[0].name
    return page(
        domain.title,
        f"<h1>{escape(domain.title)}</h1><p>{escape(domain.text)}</p><p>{state}</p>"
        f"<h2>Questions</h2><ul>{questions}</ul>"
        f"<pre>curl -s localhost:{service.settings.port}/v1/questions/{escape(name)}</pre>"
        '<h2>More</h2><ul><li><a href="/docs">Documentation of every address</a>'
        ' (<a href="/schema/openapi.json">OpenAPI</a>)</li>'
        '<li><a href="/v1/models">Models in force</a></li>'
        '<li><a href="/health/ready">Health</a></li>'
        '<li><a href="/problems">Problems and what they mean</a></li></ul>',
    )


def docs(title: str) -> str:
    """Return the documentation page: one vendored script, no fonts, nothing from outside."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<script type="module" src="/static/{SCRIPT}"></script></head><body>'
        '<rapi-doc spec-url="/schema/openapi.json" load-fonts="false" theme="light" '
        'render-style="read" show-header="false" allow-authentication="false" '
        'regular-font="system-ui" mono-font="ui-monospace" schema-style="table">'
        "</rapi-doc></body></html>"
    )


def problems_page() -> str:
    """Return the page that says what every kind of problem means."""
    items = "".join(
        f'<dt id="{kind.slug}">{kind.status} {escape(kind.title)}</dt>'
        f"<dd><code>/problems#{kind.slug}</code></dd>"
        for kind in KINDS
    )
    return page("Problems", f"<h1>Problems</h1><p>Errors are problem+json.</p><dl>{items}</dl>")


def handlers(service: Service, document: Callable[[], bytes]) -> list[HTTPRouteHandler]:
    """Return the handlers.

    Parameters
    ----------
    service
        What is served.
    document
        Returns the OpenAPI document.
    """
    script = (STATIC / SCRIPT).read_bytes()
    documentation, explained = docs(service.domain.title), problems_page()

    @get("/", name="landing")
    async def index() -> ASGIResponse:
        return html(landing(service))

    @get("/docs", name="docs")
    async def documentation_page() -> ASGIResponse:
        return html(documentation)

    @get("/problems", name="problems")
    async def problems() -> ASGIResponse:
        return html(explained)

    @get("/schema/openapi.json", name="openapi")
    async def openapi() -> ASGIResponse:
        return ASGIResponse(body=document(), media_type="application/vnd.oai.openapi+json")

    @get(f"/static/{SCRIPT}", name="docs_script")
    async def docs_script() -> ASGIResponse:
        return ASGIResponse(body=script, media_type="text/javascript")

    return [index, documentation_page, problems, openapi, docs_script]
