"""Frames of several cameras that were captured at the same time, by the cameras' own clocks."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

from ._frame import BaseFrame

F = TypeVar("F", bound=BaseFrame)

_log = logging.getLogger("chrysalis_edge")

#: Frames of one camera that wait for those of the others.
WAITING_MAX = 64
#: A clock that goes back by more than this was set: what waits is of another time.
SET_SECONDS = 1.0
#: A camera that has not told its time for so long is logged.
SILENT_SECONDS = 15.0


class Matcher(Generic[F]):
    """Takes frames of several cameras, each in order, and gives sets of one of each that lie within `tolerance` seconds."""

    def __init__(self, cameras: Sequence[str], tolerance: float) -> None:
        self._waiting: dict[str, deque[tuple[float, F]]] = {name: deque(maxlen=WAITING_MAX) for name in cameras}
        self._tolerance = tolerance
        # The gateway names a camera of its own namespace without that.
        short = [name.split("/")[-1] for name in cameras]
        self._queues = {own: queue for own, queue in zip(short, self._waiting.values()) if short.count(own) == 1} | self._waiting

    def push(self, frame: F) -> tuple[F, ...] | None:
        """The set that this frame completes. Frames that can be in none any more are let go."""
        at, waiting = frame.camera_time, self._queues.get(frame.camera)
        if at is None or waiting is None:
            return None
        if waiting and at < waiting[-1][0] - SET_SECONDS:
            waiting.clear()
        waiting.append((at, frame))
        while all(self._waiting.values()):
            newest = max(queue[0][0] for queue in self._waiting.values())
            late = [queue for queue in self._waiting.values() if queue[0][0] < newest - self._tolerance]
            if not late:
                return tuple(queue.popleft()[1] for queue in self._waiting.values())
            for queue in late:
                queue.popleft()
        return None


async def sync(frames: AsyncGenerator[F, None], cameras: Sequence[str], tolerance: float) -> AsyncGenerator[tuple[F, ...], None]:
    matcher: Matcher[F] = Matcher(cameras, tolerance)
    told: dict[str, float] = dict.fromkeys(cameras, time.monotonic())
    try:
        async for frame in frames:
            now = time.monotonic()
            if frame.camera_time is not None:
                told[frame.camera] = now
            elif now - told.get(frame.camera, now) > SILENT_SECONDS:
                told[frame.camera] = now
                _log.warning("%s does not tell its own time: its frames cannot be paired", frame.camera)
            found = matcher.push(frame)
            if found is not None:
                yield found
    finally:
        await frames.aclose()
