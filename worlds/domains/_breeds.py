"""How breeds are written: the one place that decides it."""

from worlds.domains._reading import label

ALIASES: dict[str, str] = {
    "alsatian": "german_shepherd",
    "boston_terrier": "boston_bull",
    "cardigan_welsh_corgi": "cardigan",
    "dobermann": "doberman",
    "frenchie": "french_bulldog",
    "german_shepherd_dog": "german_shepherd",
    "golden": "golden_retriever",
    "husky": "siberian_husky",
    "lab": "labrador_retriever",
    "labrador": "labrador_retriever",
    "pekingese": "pekinese",
    "pembroke_welsh_corgi": "pembroke",
    "pyrenean_mountain_dog": "great_pyrenees",
    "shih_tsu": "shih_tzu",
    "westie": "west_highland_white_terrier",
    "yorkie": "yorkshire_terrier",
}


def breed_name(raw: object) -> str | None:
    """Return a breed as models know it; an unheard-of breed keeps its own name.

    >>> breed_name("Golden Retriever"), breed_name("shih-tzu"), breed_name("Lab")
    ('golden_retriever', 'shih_tzu', 'labrador_retriever')
    """
    name = label(raw)
    return name if name is None else ALIASES.get(name, name)
