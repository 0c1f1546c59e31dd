"""What each call does, for Edge and AsyncEdge alike: see _io.py."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar

import grpc

from . import _messages as pb
from ._connection import log
from ._errors import EdgeError, NoFrame, Unavailable, error_of, passes
from ._io import END, LATE, Call, Io, Metadata, Stop, Taker
from ._types import CameraInfo, Codec, Packet, camera_info, codec_of, packet_of
from ._wire import split

T = TypeVar("T")
#: Frame or AsyncFrame: made of its header, its data, and whether a gap is before it.
Make = Callable[[Any, memoryview, bool], T]


class Tries:
    """Decides whether a call that has ended is made again, with longer pauses each time, and says in the log why."""

    def __init__(self, io: Io) -> None:
        self._io = io
        self._count = 0
        self._said = ""
        self._answered = False

    def answered(self) -> None:
        self._answered = True

    def worked(self) -> None:
        self._count = 0
        self._said = ""

    async def again(self, error: Any) -> bool:
        """After a pause. Raises what does not pass by itself. False: the Edge was closed."""
        if error is not None and not passes(error, self._answered):
            raise error_of(error) from None
        # A token that is refused twice is not one that was just renewed.
        if error is not None and error.code() is grpc.StatusCode.UNAUTHENTICATED:
            self._answered = False
        return await self.pause(error)

    async def pause(self, error: Any, end: float = float("inf")) -> bool:
        """False: there is no time left to try again, or the Edge was closed."""
        why = "the call ended" if error is None else f"{error.code().name}: {error.details()}"
        seconds = min(1.0, 0.1 * 2**self._count) * random.uniform(0.8, 1.2)
        self._count = min(self._count + 1, 10)
        if self._io.closed or time.monotonic() + seconds > end:
            return False
        if why != self._said:
            log.warning("%s: %s; trying again", self._io.target.address, why)
        self._said = why
        await self._io.pause(seconds)
        return not self._io.closed


class Answer(NamedTuple):
    call: Call
    #: Of calls that have answered: 1 for the first.
    number: int
    raw: Any


async def _answers(io: Io, method: str, request: Any, stop: Stop, tries: Tries, *, ends: bool = False) -> AsyncGenerator[Answer, None]:
    """Of a call that is made again whenever it breaks; also when it ends, unless it `ends` by itself. `request` says where it goes on."""
    number = 0
    while not io.closed:
        call = await io.open(method, request)
        stop.cancels(call)
        error, is_first = None, True
        try:
            while (raw := await call.read()) is not None:
                tries.answered()
                number += is_first
                is_first = False
                yield Answer(call, number, raw)
        except grpc.RpcError as failure:
            error = failure
        finally:
            call.cancel()
        if io.closed or stop.is_set or (ends and error is None) or not await tries.again(error):
            return


async def watch(io: Io, wish: Any, window: int, make: Make[T], stop: Stop) -> AsyncGenerator[T, None]:
    """Frames until the caller ends it. A frame's room is given back when the next one is asked for: what comes then is the newest."""
    tries = Tries(io)
    gaps = Gaps()
    request = pb.WatchRequest(wish=wish, credit=window)
    async with aclosing(_answers(io, "watch", request, stop, tries)) as answers:
        async for call, number, raw in answers:
            parts = split(raw)
            if parts is None:
                report(pb.WatchResponse.FromString(raw).status)
                continue
            tries.worked()
            header, data = parts
            request.wish.after[header.camera] = header.id
            yield make(header, data, gaps.is_before(header, number))
            await call.send(pb.WatchRequest(credit=1))


class Gaps:
    """Whether frames were missed while a call was made again."""

    def __init__(self) -> None:
        #: Of each camera: the number of the call, the capture time of its last frame, and how long after the one before.
        self._last: dict[str, tuple[int, int, int]] = {}

    def is_before(self, header: Any, number: int) -> bool:
        before, last_ms, interval_ms = self._last.get(header.camera, (number, header.capture_time_ms, 0))
        passed_ms = header.capture_time_ms - last_ms
        self._last[header.camera] = (number, header.capture_time_ms, passed_ms)
        # A loop that skips frames all the time has missed none because of the interruption, unless it got the next one late.
        return bool(number > before and header.skipped > 0 and passed_ms > 1.5 * interval_ms)


async def past(io: Io, request: Any, make: Make[T]) -> AsyncGenerator[T, None]:
    tries = Tries(io)
    seen: set[str] = set()  # of the last capture time
    async with aclosing(_answers(io, "replay", request, Stop(), tries, ends=True)) as answers:
        async for _, _, raw in answers:
            parts = split(raw)
            if parts is None:
                lost = pb.ReplayResponse.FromString(raw).lost
                log.warning(
                    "%s: the past from %d to %d is lost: %s: %s", request.camera, lost.from_ms, lost.to_ms, lost.reason, lost.message
                )
                continue
            tries.worked()
            header, data = parts
            if header.id in seen:
                continue
            if header.capture_time_ms != request.from_ms:
                seen.clear()
            seen.add(header.id)
            request.from_ms = header.capture_time_ms
            yield make(header, data, False)


async def packets(io: Io, request: Any, stop: Stop) -> AsyncGenerator[Packet, None]:
    tries = Tries(io)
    codec: Codec | None = None
    seen: set[str] = set()  # of the current GOP: a call that begins again repeats them
    current = 1
    async with aclosing(_answers(io, "packets", request, stop, tries)) as answers:
        async for _, number, answer in answers:
            event = answer.WhichOneof("event")
            if event == "codec":
                codec = codec_of(answer.codec)
            elif event == "status":
                report(answer.status)
            elif event == "lost":
                log.warning("%s: packets are lost: %s: %s", request.camera, answer.lost.reason, answer.lost.message)
            elif event == "packet" and answer.packet.id in seen:
                current = number  # what follows it has not been missed
            elif event == "packet" and codec is not None:
                tries.worked()
                packet = answer.packet
                if packet.keyframe:
                    seen.clear()
                seen.add(packet.id)
                if request.HasField("from_ms"):
                    request.from_ms = packet.capture_time_ms
                gap = packet.gap or number > current
                current = number
                yield packet_of(packet, codec, gap)


async def batches(taker: Taker, size: int, timeout: float, max_age: float | None) -> AsyncGenerator[list[Any], None]:
    try:
        while True:
            batch: list[Any] = []
            end: float | None = None
            while len(batch) < size:
                frame = await taker.take(None if end is None else max(0.0, end - time.monotonic()))
                if frame is END:
                    return
                if frame is LATE:
                    break
                if max_age is not None and frame.age > max_age:
                    continue
                if end is None:
                    end = time.monotonic() + timeout
                batch.append(frame)
            fresh = [frame for frame in batch if max_age is None or frame.age <= max_age]
            if fresh:
                yield fresh
    finally:
        await taker.close()


async def snapshot(io: Io, request: Any, timeout: float, make: Make[T]) -> T:
    parts = split(await unary(io, "snapshot", request, timeout))
    if parts is None:
        raise Unavailable("an answer without a frame")
    return make(*parts, False)


async def unary(io: Io, method: str, request: Any, timeout: float, more: Metadata | None = None) -> Any:
    return await _repeated(io, lambda left: io.unary(method, request, left, more or []), timeout)


async def cameras(io: Io, request: Any, timeout: float) -> list[CameraInfo]:
    async def ask(left: float) -> list[CameraInfo]:
        found: dict[str, CameraInfo] = {}
        call = await io.open("cameras", request, left)
        try:
            while (answer := await call.read()) is not None:
                event = answer.WhichOneof("event")
                if event == "camera":
                    found[answer.camera.name] = camera_info(answer.camera)
                elif event == "synced":
                    break
        finally:
            call.cancel()
        return list(found.values())

    return await _repeated(io, ask, timeout)


async def _repeated(io: Io, ask: Callable[[float], Awaitable[T]], timeout: float) -> T:
    """Tries until the call succeeds, fails for good, or the timeout is over."""
    end = time.monotonic() + timeout
    tries = Tries(io)
    while True:
        if io.closed:
            raise EdgeError("this Edge was closed")
        try:
            return await ask(max(0.001, end - time.monotonic()))
        except grpc.RpcError as error:
            known = error_of(error)
            if not passes(error, False) or isinstance(known, NoFrame) or not await tries.pause(error, end):
                raise known from None


def report(status: Any) -> None:
    state = pb.STATES.get(status.state)
    if state == "no_frames":
        log.warning("%s gives no frames: %s: %s", status.camera, status.reason, status.message)
    elif state == "gone":
        log.warning("%s was deleted, or is not selected any more", status.camera)
    else:
        log.info("%s gives frames", status.camera)
