"""Ctrl-C and SIGTERM as a wish that is granted when it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """While this context manager is open, the first signal sets `asked` (and calls `heard`); the second interrupts.

    Signals reach the main thread alone: in another this does nothing.
    """

    def __init__(self, heard: Callable[[], None] | None = None) -> None:
        self.asked = False
        self._heard = heard
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if self._heard is not None:
            self._heard()
        if again:
            raise KeyboardInterrupt
