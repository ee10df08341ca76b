"""Every domain the law suites run over: what is shipped, and one as a user writes it."""

from pathlib import Path

from worlds.domain import Domain, load_domain, shipped

USER_FILE = Path(__file__).parents[1] / "fixtures" / "user_domain.py"
SHIPPED: list[Domain] = list(shipped())
DOMAINS: list[Domain] = [*SHIPPED, load_domain(str(USER_FILE))]
