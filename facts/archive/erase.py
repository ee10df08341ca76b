"""Erasing an entity's content everywhere: the fact file and every archive the store sealed into."""

from dataclasses import dataclass, field
from pathlib import Path

from facts.archive.restore import erased_since
from facts.archive.seal import seal
from facts.errors import FactsError, QueryError
from facts.store import Store

PATIENCE = 10.0


@dataclass(slots=True)
class Erasure:
    """What an erasure did.

    ``token`` takes the entity's place, ``rows`` were emptied in ``transactions``; ``archives``
    were rewritten, and ``missed`` says which could not be reached and why: seal into these again.
    """

    token: str
    rows: int
    transactions: int
    archives: list[str] = field(default_factory=list)
    missed: dict[str, str] = field(default_factory=dict)


def _holds_erased(store: Store, folder: str) -> bool:
    try:
        return bool(erased_since(store, folder))
    except (FactsError, OSError):
        return False


def erase(store: Store, entity: str, reason: str) -> Erasure:
    """Remove an entity's content from the store and from every archive it was sealed into.

    Values, times of validity, choices, extras, event ids and the entity's name go; a tombstone
    with the reason stays, and ``verify`` still holds. Quarantined input which mentions the entity
    is emptied too. An archive that cannot be reached now is cleaned by the next ``seal`` into it,
    or by erasing the same again.

    Parameters
    ----------
    store : Store
        The store; readers wait while its file is written anew.
    entity : str
        The exact name.
    reason : str
        Why, for the tombstone. It must not name what is erased.

    Raises
    ------
    QueryError
        The store holds nothing of the entity, or the reason is empty or names it.
    """
    if not entity:
        msg = "an erasure needs the exact name of an entity; got ''"
        raise QueryError(msg)
    if not reason or entity in reason:
        msg = f"an erasure needs a reason which does not name the entity; got {reason!r}"
        raise QueryError(msg)
    waiting = [folder for folder in store.archives() if _holds_erased(store, folder)]
    try:
        wipe = store.wipe(entity, reason)
        done = Erasure(wipe.token, wipe.erased, len(wipe.transactions))
    except QueryError:
        if not waiting:
            raise
        done = Erasure("", 0, 0)  # an erasure before did not come to its end; this one does
    for folder in store.archives():
        try:
            if not Path(folder).is_dir():
                done.missed[folder] = "the folder is not there"
                continue
            seal(store, folder, patience=PATIENCE)
            done.archives.append(folder)
        except (FactsError, OSError) as error:
            done.missed[folder] = str(error)
    return done
