"""What organises a space, on spaces of which it is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from nearfield.errors import SpaceError
from nearfield.study.metrics import unit
from nearfield.study.organise.ranking import Organisation, Organiser, Settings, organise, organise_vectors

N, K = 150, 6
QUICK = Settings(controls=60, rounds=19, draws=300)


@dataclass(frozen=True, eq=False)
class Planted:
    name: str
    values: np.ndarray
    apart: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda one, other: np.abs(one - other)

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.values)

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        assert self.known[one].all()
        assert self.known[other].all()
        return np.asarray(self.apart(self.values[one], self.values[other]), float)


def label(name: str, values: np.ndarray) -> Planted:
    return Planted(name, values.astype(float), lambda one, other: one != other)


def by_name(found: Organisation) -> dict[str, Organiser]:
    return {p.name: p for p in found.properties}


def nearest(points: np.ndarray, k: int = K) -> np.ndarray:
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(squares, np.inf)
    return np.argsort(squares, axis=1, kind="stable")[:, :k]


def test_what_drives_a_space_is_told_from_what_only_goes_with_it() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=N)
    shadow = 0.8 * cause + 0.6 * rng.normal(size=N)
    near = nearest(np.column_stack([1.5 * cause, rng.normal(size=(N, 4))]))
    properties = [label("nothing", rng.integers(0, 6, N)), Planted("shadow", shadow), Planted("cause", cause)]
    found = organise(near, properties, rng, settings=QUICK)
    got = by_name(found)
    assert found.properties[0].name == "cause"
    assert got["cause"].given_others.low > 0.5
    assert (got["cause"].rank, got["cause"].rank_low, got["cause"].rank_high) == (1, 1, 1)
    assert got["cause"].p == 1 / 20
    assert got["shadow"].alone.low > 0.02
    assert abs(got["shadow"].given_others.value) < 0.04
    assert got["shadow"].given_others.low < 0
    assert abs(got["nothing"].alone.value) < 0.02
    assert {got[n].rank_low for n in ("shadow", "nothing")} == {2}
    assert found.shared_bits == pytest.approx(
        found.together.value - sum(p.given_others.value for p in found.properties)
    )
    assert 0 < found.together.value < found.most_bits == pytest.approx(np.log2((N - 1) / K))


def test_of_a_space_that_knows_nothing_no_interval_says_otherwise() -> None:
    means, above = [], 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        near = nearest(rng.normal(size=(80, 12)), 5)
        properties = [Planted("curve", rng.normal(size=80)), label("label", rng.integers(0, 5, 80))]
        found = organise(near, properties, rng, settings=Settings(controls=40, folds=3, rounds=0, draws=50))
        means += [f.value for p in found.properties for f in (p.alone, p.given_others)]
        above += sum(f.low > 0 for p in found.properties for f in (p.alone, p.given_others))
    assert -0.03 < np.mean(means) < 0  # the price of fitting what is not there
    assert above <= 3  # of 24


def test_a_space_that_is_one_label_is_explained_as_far_as_can_be() -> None:
    """Ten tracks of each label, each the neighbour of the nine others: nothing is left to know."""
    values = np.arange(100) // 10
    found = organise_vectors(
        unit(np.eye(10))[values], [label("it", values)], np.random.default_rng(0), 9, settings=QUICK
    )
    assert found.together.value == pytest.approx(found.most_bits, rel=0.02)
    (it,) = found.properties
    assert it.alone.value == it.given_others.value == found.together.value
    assert (it.rank, it.p) == (1, 1 / 20)


def test_tracks_of_unknown_value_stay_and_are_no_clue() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=N)
    near = nearest(np.column_stack([2 * values, rng.normal(size=(N, 3))]))
    some = np.where(rng.random(N) < 0.3, np.nan, values)
    found = organise(near, [Planted("some", some), Planted("other", rng.normal(size=N))], rng, settings=QUICK)
    got = by_name(found)["some"]
    whole = by_name(organise(near, [Planted("all", values)], rng, settings=QUICK))["all"]
    assert found.n == got.alone.n == N
    assert got.known == np.isfinite(some).sum()
    assert 0.2 * whole.alone.value < got.alone.value < 0.8 * whole.alone.value  # about 0.7 squared of the pairs
    hidden = np.where(rng.random(N) < 0.3, np.nan, rng.normal(size=N))
    assert abs(by_name(organise(near, [Planted("hidden", hidden)], rng, settings=QUICK))["hidden"].alone.value) < 0.04


def test_the_same_seed_gives_the_same_answer_and_it_is_json() -> None:
    def run(seed: int) -> dict[str, object]:
        rng = np.random.default_rng(7)
        properties = [Planted("one", rng.normal(size=60)), label("two", rng.integers(0, 3, 60))]
        vectors = rng.normal(size=(60, 8)).astype(np.float32)
        quick = Settings(controls=20, rounds=5, draws=50, most_queries=40)
        return organise_vectors(vectors, properties, np.random.default_rng(seed), 4, settings=quick).as_dict()

    first = run(1)
    assert json.dumps(first, allow_nan=False) == json.dumps(run(1), allow_nan=False)
    assert first != run(2)
    assert (first["n"], first["n_tracks"], first["k"]) == (40, 60, 4)


def test_tracks_of_one_group_are_neither_neighbours_nor_controls() -> None:
    values = np.repeat(np.arange(30), 2)
    vectors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)[values]  # each track twice
    label_of = label("pair", values)
    quick = Settings(controls=30, rounds=0, draws=50)
    rng = np.random.default_rng(0)
    assert by_name(organise_vectors(vectors, [label_of], rng, 3, settings=quick))["pair"].alone.low > 0.5
    with pytest.raises(SpaceError, match="differs between tracks"):  # of the allowed pairs none agrees
        organise_vectors(vectors, [label_of], rng, 3, values, quick)


def test_properties_that_say_nothing_are_named_and_left_out() -> None:
    rng = np.random.default_rng(0)
    properties = [
        Planted("same", np.ones(50)),
        Planted("some", rng.normal(size=50)),
        Planted("unknown", np.full(50, np.nan)),
    ]
    near = nearest(rng.normal(size=(50, 3)), 4)
    quick = Settings(controls=20, rounds=3, draws=50)
    found = organise(near, properties, rng, settings=quick)
    assert found.left_out == ("same", "unknown")
    assert [p.name for p in found.properties] == ["some"]
    with pytest.raises(SpaceError, match="none of 2 properties is known"):
        organise(near, [properties[0], properties[2]], rng, settings=quick)


def test_what_cannot_be_asked_is_refused() -> None:
    rng = np.random.default_rng(0)
    prop = Planted("it", rng.normal(size=11))
    vectors = rng.normal(size=(11, 3)).astype(np.float32)
    with pytest.raises(SpaceError, match="11 tracks for 10 neighbours"):
        organise_vectors(vectors, [prop], rng, 10)
    with pytest.raises(SpaceError, match="no property is named"):
        organise_vectors(vectors, [], rng, 3)
    with pytest.raises(SpaceError, match=r"properties of \[11, 12\] tracks"):
        organise_vectors(vectors, [prop, Planted("more", np.ones(12))], rng, 3)
    with pytest.raises(SpaceError, match="vectors of 10 tracks, properties of 11"):
        organise_vectors(vectors[:10], [prop], rng, 3)
    with pytest.raises(SpaceError, match="one row of neighbours a query"):
        organise(np.zeros((5, 2), np.int64), [prop], rng)
    with pytest.raises(SpaceError, match="groups of shape"):
        organise_vectors(vectors, [prop], rng, 3, np.zeros(4, int))
    with pytest.raises(SpaceError, match="only 0 queries"):
        organise(np.full((11, 2), -1), [prop], rng)
