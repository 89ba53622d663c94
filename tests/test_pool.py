"""The pool: every task is answered for, whatever becomes of the process that holds it."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from nearfield.pool import Died, PoolError, run


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
