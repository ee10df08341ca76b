"""The errors of counting uncertain members, one tree."""

from worlds.errors import WorldsError


class MembershipError(WorldsError, ValueError):
    """Facts, sets or choices that do not fit each other."""


class GeometryError(MembershipError):
    """A region or a place on earth that the geometry here cannot handle."""


class GeoMissingError(MembershipError, ImportError):
    """Map cells were asked for, and the h3 package is not installed."""

    def __init__(self) -> None:
        super().__init__("map cells need the h3 package: install possible-worlds[geo]")
