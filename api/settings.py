"""Settings: defaults, then `worlds.toml` in the working directory, then WORLDS_* variables."""

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from api.errors import SettingsError

PREFIX = "WORLDS_"
FILE = "worlds.toml"

Text = Annotated[str, msgspec.Meta(min_length=1)]
Whole = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=10_000_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service runs.

    Every field is a key of ``worlds.toml`` and, in capitals after ``WORLDS_``, an environment
    variable: ``port = 8080`` or ``WORLDS_PORT=8080``.
    """

    var: Text = "var"
    domain: Text = "sniffable"
    host: Text = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    queue: Whole = 100_000
    body_limit: Whole = 4_000_000
    batch_limit: Whole = 1_000
    poll_seconds: Seconds = 0.5
    question_threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    question_queue: Whole = 16
    question_cache: Whole = 512
    question_seconds: Seconds = 30.0
    learn_every: Annotated[float, msgspec.Meta(ge=0, le=10_000_000)] = 0.0
    learn_deadline: Seconds = 1_800.0
    replicate_to: str = ""
    replicate_every: Seconds = 10.0
    prediction_log: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 5.0
    access_log: bool = False
    log_format: Literal["text", "json"] = "text"
    otel: str = ""
    otel_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    webhooks: str = ""
    webhook_secret: str = ""
    keys: str = ""
    hosts: str = ""
    cors: str = ""
    client_seconds: Seconds = 20.0
    hung_seconds: Seconds = 30.0
    connections: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    connections_each: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0

    def __post_init__(self) -> None:
        if not self.keys and not is_loopback(self.host):
            msg = (
                f"host = {self.host!r} is reachable from other machines, and there are no keys: "
                "bind 127.0.0.1, ::1 or localhost, or name a file of keys "
                '(keys = "keys.json"; `worlds keys create` makes it)'
            )
            raise ValueError(msg)
        if self.webhooks and not self.webhook_secret:
            msg = "webhooks are signed: name the file of their secret (webhook_secret)"
            raise ValueError(msg)

    def root(self, name: str) -> Path:
        """Return the directory of a domain's facts and snapshots."""
        return Path(self.var) / name


MEANINGS: Mapping[str, str] = {
    "var": "directory of all data: <var>/<domain>/facts.duckdb and <var>/<domain>/snapshots",
    "domain": "name of a shipped domain, path of a .py file, or package.module:ATTRIBUTE",
    "host": "address to listen on; loopback only, unless there are keys",
    "port": "port to listen on; 0 takes a free one",
    "workers": "API workers beside a recorder of facts; 0: one process does everything",
    "queue": "events that may wait for the writer before new ones are refused with 503",
    "body_limit": "largest request body in bytes; larger ones are refused with 413",
    "batch_limit": "most drafts in one request",
    "poll_seconds": "how often a new release is looked for",
    "question_threads": "threads that compute questions",
    "question_queue": "questions that may wait for a thread before new ones get 503",
    "question_cache": "answers kept for questions asked again",
    "question_seconds": "a question that takes longer gets the best answer there is, or 503",
    "learn_every": "seconds between two relearns while serving; 0: only on request",
    "learn_deadline": "seconds after which a learning process is stopped",
    "replicate_to": "folder of a replica of the facts, kept while serving; empty: none",
    "replicate_every": "most seconds that the replica may be behind",
    "prediction_log": "predictions a second that are logged as facts, beyond it a sample; 0: none",
    "access_log": "whether every request is logged",
    "log_format": "text, or json: one object a line",
    "otel": "address of an OpenTelemetry collector that takes traces (OTLP over HTTP, "
    "http://host:4318/v1/traces); needs the extra otel; empty: none",
    "otel_share": "share of the requests that are traced; those whose caller traces them are too",
    "webhooks": "addresses, separated by commas, that are told of degraded health and models",
    "webhook_secret": "file of the secret that signs what they are told",
    "keys": "file of keys; empty: no keys, every route is open to this machine, and only to it",
    "hosts": "names by which it may be called, *.example.org too, with commas; empty: those of "
    "this machine without keys, any with keys",
    "cors": "origins of web pages that may ask from a browser, with commas; empty: none",
    "client_seconds": "seconds a client has for sending a request, or for taking in its answer",
    "hung_seconds": "seconds without a sign of life after which one of several processes is ended "
    "and started again",
    "connections": "most connections of a process; 0: as many as its open files allow",
    "connections_each": "most connections of a process from one address (of IPv6 one /64), this "
    "machine too; 0: a quarter of all, and this machine may have all",
}
"""What every setting means: shown by `worlds serve --help` and in the documentation."""


def words(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas."""
    return tuple(part for part in (one.strip() for one in text.split(",")) if part)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load_settings(
    environ: Mapping[str, str], folder: Path | None = None, **overrides: object
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ
        The environment; names that start with ``WORLDS_`` are settings.
    folder
        Where ``worlds.toml`` may lie; nothing is read if None.
    overrides
        Values from the command line; None means not given.

    Raises
    ------
    SettingsError
        If a key is unknown or a value has no meaning; the message names both.
    """
    known = set(Settings.__struct_fields__)
    chosen: dict[str, Any] = {}
    if folder is not None:
        chosen |= _from_file(folder / FILE, known)
    chosen |= _from_environment(environ, known)
    chosen |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return msgspec.convert(chosen, Settings, strict=True)
    except msgspec.ValidationError as error:
        msg = f"bad setting: {error}"
        raise SettingsError(msg) from error


def _from_file(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{FILE} cannot be read: {error}"
        raise SettingsError(msg) from error
    _refuse_unknown(set(raw) - known, FILE, known)
    return raw


def _from_environment(environ: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    raw = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    _refuse_unknown(set(raw) - known, f"the environment ({PREFIX}...)", known)
    return {name: _typed(name, value) for name, value in raw.items()}


def _typed(name: str, text: str) -> Any:
    kind = Settings.__annotations__[name]
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        msg = f"{PREFIX}{name.upper()}={text!r}: {error}"
        raise SettingsError(msg) from error


def _refuse_unknown(unknown: set[str], place: str, known: set[str]) -> None:
    if unknown:
        names = ", ".join(sorted(unknown))
        msg = f"unknown settings in {place}: {names}; known: {', '.join(sorted(known))}"
        raise SettingsError(msg)
