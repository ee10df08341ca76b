"""``worlds ask``: from the published files, without a server and without the database."""

from datetime import UTC, datetime

import click

from api.asking import arguments, from_pairs, known_time
from api.cli import common
from api.cli.show import show_answer
from api.errors import MissingError
from worlds.ask import Answerer


@click.command(
    epilog="Example: worlds ask likes_next_hour --threshold 1000 --do pupdates=x2 --where breed=pug"
)
@click.argument("question", required=False)
@click.option("--threshold", metavar="NUMBER", help='1000 or "> 1000".')
@click.option("--level", "levels", multiple=True, type=float, help="Level of an interval.")
@click.option("--given", multiple=True, metavar="K=V", help="pupdates=learned, pupdates>=3.")
@click.option("--do", multiple=True, metavar="K=V", help="pupdates=9000 or pupdates=x2.")
@click.option("--where", multiple=True, metavar="K=V", help="breed=pug.")
@click.option("--as-of", metavar="TIME", help="Answer with what was known then.")
@common.options
def command(
    question: str | None,
    threshold: str | None,
    levels: tuple[float, ...],
    given: tuple[str, ...],
    do: tuple[str, ...],
    where: tuple[str, ...],
    as_of: str | None,
    as_json: bool,
    var: str | None,
    domain: str | None,
) -> None:
    """Ask QUESTION (the domain's first where left out) across the possible worlds."""
    chosen = common.settings(var=var, domain=domain)
    known = common.find_domain(chosen)
    wanted = from_pairs(
        threshold=threshold, levels=levels, given=given, do=do, where=where, as_of=as_of
    )
    models = common.answerer(chosen, known)
    moment = known_time(wanted.as_of, datetime.now(UTC))
    if moment is not None:
        store = common.snapshots(chosen, known)
        release = store.as_of(moment)
        if release is None:
            raise MissingError(f"nothing had been learned as of {moment.isoformat()}")
        models = Answerer.load(known, store, release)
    answer = models.ask(question or known.questions[0].name, **arguments(wanted))
    content = answer.to_dict()
    if as_json:
        common.print_json(content)
    else:
        show_answer(answer, content)
