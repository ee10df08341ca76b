"""``worlds run``: the main job, from facts to a served answer."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import msgspec

from api.cli import common, jobs
from api.cli.show import show_answer
from api.errors import CommandError
from api.server import address, listen, serve, server
from api.settings import Settings
from facts import MappingError, Store, load_mapping, without_pandas
from worlds.domain import Domain, shipped

START_SECONDS = 60
SIMULATED_UNTIL = datetime(2026, 9, 30, 18, tzinfo=UTC)
"""The end of the simulated past: one evening for everybody, so that answers can be compared."""


@click.command(
    epilog="Examples: worlds run --once; worlds run --data dog_posts.csv --mapping dogposts"
)
@click.option("--data", type=click.Path(path_type=Path), help="A table to import first.")
@click.option("--mapping", metavar="MAP", help="How: a .toml file or a shipped mapping.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of simulating and learning.")
@click.option("--once", is_flag=True, help="Ask once over HTTP on a free port, then end.")
@click.option("--host", help="Loopback address to serve on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to serve on. [default: 8000]")
@common.options
def command(
    data: Path | None,
    mapping: str | None,
    seed: int,
    once: bool,
    host: str | None,
    port: int | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Prepare facts, learn, publish, answer the main question, and serve until Ctrl-C.

    Without --data, and without facts from before, a domain's simulator makes them, and every
    answer says so.
    """
    chosen = common.settings(var=var, domain=domain, host=host, port=port)
    if data is not None and domain is None:
        found = domain_of(data, mapping)
        chosen = msgspec.structs.replace(chosen, domain=found or chosen.domain)
    known = common.find_domain(chosen)
    prepare(chosen, known, data, mapping, seed)
    jobs.say(f"Learning {known.title} ...")
    jobs.say(jobs.said_of_learning(jobs.run_learning(chosen, seed=seed)))
    answer = common.answerer(chosen, known).ask(known.questions[0].name)
    content = answer.to_dict()
    if not as_json:
        show_answer(answer, content)
    elif not once:
        common.print_json(content)
    if once:
        ask_once(chosen, known, content, as_json)
        return
    serve(chosen, lambda at: jobs.say(f"Serving on {at} (documentation: {at}/docs). Ctrl-C ends."))


def domain_of(data: Path, mapping: str | None) -> str | None:
    """Return the shipped domain whose mapping fits the columns of a table, if there is one."""
    if not data.is_file():
        raise CommandError(f"there is no table at {str(data)!r}")
    columns = set(jobs.table_columns(data))
    for domain in shipped():
        if domain.mapping is None or mapping not in (None, domain.mapping):
            continue
        if load_mapping(domain.mapping).columns() <= columns:
            return domain.name
    return None


def prepare(
    settings: Settings, domain: Domain, data: Path | None, mapping: str | None, seed: int
) -> None:
    """Make sure that there are facts: imported, from before, or simulated.

    Raises
    ------
    CommandError
        If there are none and no way to get any.
    """
    without_pandas()
    with Store.open(common.facts_path(settings, domain)) as store:
        if data is not None:
            wanted = mapping or domain.mapping
            if wanted is None:
                msg = f"no shipped mapping fits {data.name}: describe its columns with --mapping"
                raise CommandError(msg)
            try:
                report = jobs.run_import(store, data, wanted)
            except MappingError as error:
                msg = f"{error}; describe the table with --mapping MAP.toml"
                raise CommandError(msg) from error
            jobs.say(jobs.said_of_import(data, report))
            return
        _, _, count = store.reader().version()
        if count:
            jobs.say(f"{count:,} facts of {domain.title} are there already.")
            return
        written = jobs.run_simulation(store, domain, seed, SIMULATED_UNTIL)
        jobs.say(f"Simulated {written.accepted:,} events of {domain.title}.")


def ask_once(settings: Settings, domain: Domain, expected: dict[str, Any], as_json: bool) -> None:
    """Serve on a free port, ask the main question over HTTP, print the answer.

    Raises
    ------
    CommandError
        If the server does not give the answer that the files gave.
    """
    name = domain.questions[0].name
    with serving(msgspec.structs.replace(settings, port=0)) as at:
        content = fetch(at, f"/v1/questions/{quote(name)}")
    if content["mean"] != expected["mean"]:
        msg = f"the server answers a mean of {content['mean']!r}, the files {expected['mean']!r}"
        raise CommandError(msg)
    if as_json:
        common.print_json(content)
        return
    click.echo(f"\nThe same over HTTP, GET {at}/v1/questions/{name}:")
    click.echo(f"  mean {content['mean']:,.1f} {content['unit']}. {content['sentence']}")


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Run a server in a thread; yield its address."""
    listener = listen(settings)
    running = server(settings)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not running.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise CommandError("the server did not start")
            time.sleep(0.02)
        yield address(listener)
    finally:
        running.should_exit = True
        thread.join(START_SECONDS)


def fetch(base: str, path: str) -> dict[str, Any]:
    """Get JSON from the server.

    Raises
    ------
    CommandError
        If it answers with a problem.
    """
    place = urlsplit(base)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
    finally:
        connection.close()
    if reply.status != http.HTTPStatus.OK:
        raise CommandError(f"GET {path} answered {reply.status}: {body[:500].decode('utf-8')}")
    content: dict[str, Any] = json.loads(body)
    return content
