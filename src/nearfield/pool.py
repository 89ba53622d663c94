"""Work spread over processes, one task in hand each, where one that dies or hangs costs only the task it held.

Each worker has a pipe of its own: the parent knows what it was doing when it died, and a worker whose parent
is gone reads the end of the pipe and leaves. Workers ignore Ctrl-C (the parent ends them) and keep the
numeric libraries to one thread; what C libraries print on stderr is dropped.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from nearfield.errors import NearfieldError

T = TypeVar("T")
R = TypeVar("R")

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_READY = "ready"
_LOOK_S = 1.0  # between looks at how long the tasks take


class PoolError(NearfieldError):
    """Worker processes that end before they take any work."""


@dataclass(frozen=True)
class Died:
    """The process that held a task ended without an answer: a crash in C code, or memory was short."""

    exit_code: int | None

    @property
    def cause(self) -> str:
        code = self.exit_code
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"the process reading it was ended by {signal.Signals(-code).name}"
        return f"the process reading it ended with code {code}"


@dataclass(frozen=True)
class TimedOut:
    """The process that held a task was ended, because it took longer than it may."""

    limit_s: float

    @property
    def cause(self) -> str:
        return f"reading it did not end within {self.limit_s:.0f} s"


Lost = Died | TimedOut


@dataclass(frozen=True)
class _Raised:
    trace: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Any
    ready: bool = False
    held_s: float = 0.0  # the task, while this process was awake to see it


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def patience_s(size_bytes: int) -> float:
    """How long reading a file of this size may take: far longer than any disk or decoder that still works."""
    return 600 + size_bytes / 100_000


def run(
    work: Callable[[T], R], tasks: Iterable[T], workers: int, limit_s: Callable[[T], float] | None = None
) -> Generator[tuple[T, R | Lost], None, None]:
    """(task, `work(task)` or what became of it) in the order of completion; closing the iterator ends the workers.

    `work`, tasks and answers are pickled. `limit_s`: how long a task may take. With `workers` 0 all happens in this
    process, without the protection. Raises PoolError when workers cannot start, RuntimeError when `work` raises.
    """
    if workers < 0:
        raise PoolError("workers", f"{workers} processes", "give 0 (all in this process) or more")
    if workers == 0:
        yield from ((task, work(task)) for task in tasks)
        return
    left = iter(tasks)
    crew: dict[Connection, _Worker] = {}
    try:
        for _, task in zip(range(workers), left, strict=False):
            _hire(crew, work, task)
        looked = time.monotonic()
        while crew:
            for pipe in wait(list(crew), None if limit_s is None else _LOOK_S):
                yield from _hear(crew, crew[pipe], work, left)  # type: ignore[index]
            moment = time.monotonic()
            passed_s, looked = min(moment - looked, 2 * _LOOK_S), moment  # less where all was stopped with Ctrl-Z
            for worker in list(crew.values()):
                worker.held_s += passed_s if worker.ready else 0.0
                if limit_s is not None and worker.held_s > (limit := limit_s(worker.task)):
                    yield from _give_up(crew, worker, work, left, limit)
    finally:
        for worker in crew.values():
            worker.pipe.close()
            worker.process.terminate()
        for worker in crew.values():
            worker.process.join()


def _hire(crew: dict[Connection, _Worker], work: Callable[[Any], Any], task: Any) -> None:
    """Start a worker and give it its first task."""
    context = multiprocessing.get_context("spawn")  # fork is not safe beside threads
    ours, theirs = context.Pipe()
    with _one_thread(), _deaf_to_ctrl_c():
        process = context.Process(target=_main, args=(theirs, work), daemon=True)
        process.start()
    theirs.close()
    crew[ours] = _Worker(process, ours, task)
    with contextlib.suppress(OSError):  # it is dead already: heard as such
        ours.send(task)


def _hear(
    crew: dict[Connection, _Worker], worker: _Worker, work: Callable[[Any], Any], left: Iterator[Any]
) -> Iterator[tuple[Any, Any]]:
    """Take one message of a worker, keep it (or a successor) busy, and hand on what was finished."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        died = _dismiss(crew, worker)
        if not worker.ready:
            raise PoolError(
                "worker processes",
                f"ended with code {died.exit_code} before they took any work",
                "use fewer --workers; in a script, call from under `if __name__ == '__main__':`",
            ) from None
        _replace(crew, work, left)
        yield worker.task, died
        return
    if not worker.ready:  # the first message only says that it is there
        worker.ready = True
        return
    if isinstance(message, _Raised):
        raise RuntimeError(message.trace)
    finished, worker.task, worker.held_s = worker.task, next(left, _READY), 0.0
    if worker.task is _READY:  # nothing left
        _dismiss(crew, worker)
    else:
        with contextlib.suppress(OSError):
            worker.pipe.send(worker.task)
    yield finished, message


def _give_up(
    crew: dict[Connection, _Worker], worker: _Worker, work: Callable[[Any], Any], left: Iterator[Any], limit_s: float
) -> Iterator[tuple[Any, TimedOut]]:
    """End a worker that takes too long; another one takes its place."""
    worker.process.kill()
    _dismiss(crew, worker)
    _replace(crew, work, left)
    yield worker.task, TimedOut(limit_s)


def _dismiss(crew: dict[Connection, _Worker], worker: _Worker) -> Died:
    """Close the pipe of a worker, which then ends if it has not, and wait for that."""
    del crew[worker.pipe]
    worker.pipe.close()
    worker.process.join()
    return Died(worker.process.exitcode)


def _replace(crew: dict[Connection, _Worker], work: Callable[[Any], Any], left: Iterator[Any]) -> None:
    """A new worker for the next task, if there is one."""
    for following in left:
        _hire(crew, work, following)
        break


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Numeric libraries read these once, when they are loaded; a spawned process inherits them."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started in here ignores Ctrl-C from its first moment; in this one it waits until the end."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # lifts the mask when it starts, so it has to be there before
    came: list[int] = []
    # the mask is inherited; the handler is needed too, since other threads may take the signal for this one
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


def _main(pipe: Connection, work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    with contextlib.suppress(EOFError, OSError):
        pipe.send(_READY)
        while True:
            task = pipe.recv()
            try:
                answer = work(task)
            except Exception:
                answer = _Raised(traceback.format_exc())
            pipe.send(answer)
