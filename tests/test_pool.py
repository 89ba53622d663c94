"""The pool: every task is answered for, whatever becomes of the process that holds it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import pytest

from nearfield import pool
from nearfield.pool import Died, PoolError, TimedOut, run


def double(task: int) -> int:
    return 2 * task


def die_at_times(task: int) -> tuple[int, str]:
    if task % 5 == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if task % 5 == 4:
        os._exit(7)
    print("noise", file=sys.stderr)
    return task, os.environ["OPENBLAS_NUM_THREADS"]


def fail(task: int) -> int:
    raise KeyError("a fault of the program")


def wait_long(task: int) -> int:
    time.sleep(0 if task == 0 else 60)
    return os.getpid()


def hang_at_times(task: int) -> int:
    if task % 3 == 1:
        time.sleep(60)
    return task


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_all_answers(workers: int) -> None:
    assert sorted(run(double, range(20), workers)) == [(i, 2 * i) for i in range(20)]
    assert list(run(double, [], workers)) == []


def test_a_death_costs_only_its_task(capfd: pytest.CaptureFixture[str]) -> None:
    answers = dict(run(die_at_times, range(10), 2))
    assert sorted(answers) == list(range(10))
    assert {t: a for t, a in answers.items() if isinstance(a, Died)} == {
        2: Died(-9),
        7: Died(-9),
        4: Died(7),
        9: Died(7),
    }
    assert answers[8] == (8, "1")
    assert Died(-9).cause == "the process reading it was ended by SIGKILL"
    assert Died(7).cause == "the process reading it ended with code 7"
    assert capfd.readouterr().err == ""


def test_a_hang_costs_only_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK_S", 0.1)
    began = time.monotonic()
    answers = dict(run(hang_at_times, range(6), 2, lambda task: 1.0 + task / 4))
    assert 1.0 < time.monotonic() - began < 30
    assert answers == {0: 0, 1: TimedOut(1.25), 2: 2, 3: 3, 4: TimedOut(2.0), 5: 5}
    assert TimedOut(4.0).cause == "reading it did not end within 4 s"
    assert multiprocessing.active_children() == []
    assert (pool.patience_s(0), pool.patience_s(10**9)) == (600, 10_600)  # a GB at 0.1 MB/s


def test_time_that_nobody_sees_passing_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """While all is stopped with Ctrl-Z, or the answers are being dealt with."""
    monkeypatch.setattr(pool, "_LOOK_S", 0.1)
    answers = run(sleep_a_little, [0.0, 1.0], 2, lambda task: 1.5)
    first = next(answers)
    time.sleep(2)
    assert [first, *answers] == [(0.0, 0.0), (1.0, 1.0)]


def sleep_a_little(task: float) -> float:
    time.sleep(task)
    return task


def test_an_exception_is_an_error_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="a fault of the program"):
        list(run(fail, [1], 1))


class Unloadable:
    """Ends the process that unpickles it."""

    def __call__(self, task: int) -> int:
        return task

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_workers_that_cannot_start_are_told() -> None:
    with pytest.raises(PoolError, match="ended with code 3 before they took any work; use fewer --workers"):
        list(run(Unloadable(), [1, 2, 3], 2))


def test_closing_ends_the_workers() -> None:
    answers = run(wait_long, [0, 1, 2], 1)
    _, process = next(answers)
    began = time.monotonic()
    answers.close()
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)  # type: ignore[call-overload]
