"""The fact file of a command: opened, used, closed."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.cli import common
from facts import Store, without_pandas


@contextmanager
def opened(var: str | None, domain: str | None) -> Iterator[Store]:
    """Open the store that is there."""
    without_pandas()
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    with Store.open(common.facts_path(chosen, known), create=False) as store:
        yield store
