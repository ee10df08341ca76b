"""The errors of the api package, one tree. `problems` says how each is answered over HTTP."""

from collections.abc import Sequence


class ApiError(Exception):
    """Base of everything this package raises on purpose."""


class SettingsError(ApiError, ValueError):
    """A setting that is unknown or has no meaning."""


class RequestError(ApiError, ValueError):
    """A request that cannot be understood.

    Parameters
    ----------
    detail
        What was wrong, and what would be right.
    fields
        Pairs (field, what is wrong with it), where single fields are to blame.
    """

    def __init__(self, detail: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.fields = tuple(fields)


class MediaTypeError(ApiError, ValueError):
    """A body of a kind that the route does not take."""

    def __init__(self, got: str, wanted: str) -> None:
        super().__init__(f"cannot read a body of type {got!r}; send {wanted}")


class TimeError(ApiError, ValueError):
    """A time at which nothing was known, or that has not come."""


class BeyondError(ApiError, ValueError):
    """A request whose numbers leave the range of numbers, or that takes too long."""


class KeysError(ApiError, ValueError):
    """A file of keys, or a key, that cannot be used; the message says what to do."""


class UnauthorizedError(ApiError):
    """A request without a key that opens anything.

    Parameters
    ----------
    detail
        What is missing.
    challenge
        The header WWW-Authenticate: how to show a key.
    """

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self.headers = {"www-authenticate": challenge}


class ForbiddenError(UnauthorizedError):
    """A request whose key may not do this."""


class LimitError(ApiError):
    """A key that has used up what it may use at once.

    Parameters
    ----------
    detail
        What is used up.
    retry_after
        Seconds after which there is room.
    """

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ConflictError(ApiError):
    """Something that does not go together with how things are."""


class MissingError(ApiError, LookupError):
    """Something that is not there, such as a route, a release or a file."""


class BusyError(ApiError):
    """More work than the service takes on at once.

    Parameters
    ----------
    detail
        What is full.
    retry_after
        Seconds after which another try makes sense.
    """

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class FactsDownError(ApiError):
    """The fact store is not open in this process."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the fact store is not available: {reason}")


class LearnError(ApiError):
    """Learning did not end well."""


class CommandError(ApiError):
    """A command cannot go on; the message says what to do."""


class ServeError(ApiError):
    """The service cannot be run."""
