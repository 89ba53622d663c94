"""How far neighbours agree on a property: seen, by chance, at best, with calibrated intervals and tests."""

from nearfield.study.neighbourhood.measure import (
    PERMUTATIONS,
    SIZES,
    Difference,
    Neighbourhood,
    Neighbours,
    Scale,
    compare,
    locality,
    neighbourhood,
)
from nearfield.study.neighbourhood.scales import Property

__all__ = [
    "PERMUTATIONS",
    "SIZES",
    "Difference",
    "Neighbourhood",
    "Neighbours",
    "Property",
    "Scale",
    "compare",
    "locality",
    "neighbourhood",
]
