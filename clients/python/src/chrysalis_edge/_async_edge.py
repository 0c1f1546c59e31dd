"""AsyncEdge and AsyncCamera: Edge and Camera for asyncio. What they do is in _calls.py, for both."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _calls, _requests
from . import _messages as pb
from ._connection import Target
from ._errors import NoSuchCamera, Unavailable
from ._frame import AsyncFrame
from ._io import AsyncIo, Stop
from ._sync import sync
from ._types import CameraInfo, Packet, Why

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import LookOptions, RenditionOptions


class AsyncEdge:
    """Edge for asyncio: `async for` over frames, and `await` for the rest. Options are those of Edge. It belongs to one event loop."""

    def __init__(
        self, address: str | None = None, token: str | None = None, *, ca: str | os.PathLike[str] | None = None
    ) -> None:
        self._io = AsyncIo(Target(address, token, ca))

    def camera(self, name: str) -> AsyncCamera:
        return AsyncCamera(self, name)

    async def cameras(self, selector: str | None = None, *, timeout: float = 10.0) -> list[CameraInfo]:
        return await _calls.cameras(self._io, _requests.cameras_request(selector), timeout)

    def frames(
        self,
        selector: str = "",
        *,
        cameras: list[str] | None = None,
        fps: float = 0.0,
        newest: bool = True,
        max_age: float | None = None,
        keyframes: bool = False,
        group: str = "",
        **look: Unpack[RenditionOptions],
    ) -> AsyncGenerator[AsyncFrame, None]:
        wish = _requests.wish_of(selector, cameras, fps, newest, max_age, keyframes, look, group)
        return _calls.watch(self._io, wish, _requests.window_of(newest, max_age), self._frame, Stop())

    def sync(
        self, cameras: list[str], tolerance: float = 0.05, **look: Unpack[RenditionOptions]
    ) -> AsyncGenerator[tuple[AsyncFrame, ...], None]:
        wish = _requests.sync_wish(cameras, tolerance, look)
        frames = _calls.watch(self._io, wish, _requests.EVERY_WINDOW * len(cameras), self._frame, Stop())
        return sync(frames, cameras, tolerance)

    def batches(
        self,
        selector: str = "",
        size: int = 8,
        timeout: float = 0.1,
        max_age: float | None = None,
        *,
        cameras: list[str] | None = None,
        fps: float = 0.0,
        frame_size: tuple[int, int] | None = None,
        group: str = "",
        **look: Unpack[LookOptions],
    ) -> AsyncGenerator[list[AsyncFrame], None]:
        _requests.check_batch(size)
        wish = _requests.wish_of(selector, cameras, fps, True, max_age, False, {"size": frame_size, **look}, group)
        return self._batches(wish, size, timeout, max_age)

    async def _batches(self, wish: Any, size: int, timeout: float, max_age: float | None) -> AsyncGenerator[list[AsyncFrame], None]:
        stop = Stop()
        taker = self._io.taker(_calls.watch(self._io, wish, 1, self._frame, stop), stop, size)
        async for batch in _calls.batches(taker, size, timeout, max_age):
            yield batch

    async def close(self) -> None:
        await self._io.close()

    async def __aenter__(self) -> AsyncEdge:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _frame(self, header: Any, data: memoryview, gap: bool) -> AsyncFrame:
        return AsyncFrame(self._io, header, data, gap)


class AsyncCamera:
    """A camera by its name."""

    def __init__(self, edge: AsyncEdge, name: str) -> None:
        self._edge = edge
        self._io = edge._io
        self.name = name

    def frames(
        self,
        *,
        fps: float = 0.0,
        newest: bool = True,
        max_age: float | None = None,
        keyframes: bool = False,
        decode: str = "gateway",
        **look: Unpack[RenditionOptions],
    ) -> AsyncGenerator[AsyncFrame, None]:
        _requests.check_decode(decode)
        wish = _requests.wish_of("", [self.name], fps, newest, max_age, keyframes, look)
        if decode == "local":
            from . import _local

            _local.check()
            return self._local(wish, look.get("stream"))
        return _calls.watch(self._io, wish, _requests.window_of(newest, max_age), self._edge._frame, Stop())

    async def _local(self, wish: Any, stream: str | None) -> AsyncGenerator[AsyncFrame, None]:
        from . import _local

        stop = Stop()
        packets = _calls.packets(self._io, _requests.packets_request(self.name, None, stream), stop)
        taker = self._io.taker(packets, stop, _local.PACKETS_MAX)
        async for frame in _local.frames(self._io, taker, wish, self._edge._frame):
            yield frame

    async def snapshot(
        self,
        at: float | datetime | None = None,
        *,
        max_age: float | None = None,
        timeout: float = 15.0,
        **look: Unpack[RenditionOptions],
    ) -> AsyncFrame:
        request = _requests.snapshot_request(self.name, at, max_age, look)
        return await _calls.snapshot(self._io, request, timeout, self._edge._frame)

    def past(
        self,
        start: float | datetime,
        end: float | datetime | None = None,
        *,
        fps: float = 0.0,
        keyframes: bool = False,
        **look: Unpack[RenditionOptions],
    ) -> AsyncGenerator[AsyncFrame, None]:
        request = _requests.replay_request(self.name, start, end, fps, keyframes, look)
        return _calls.past(self._io, request, self._edge._frame)

    def packets(self, start: float | datetime | None = None, *, stream: str | None = None) -> AsyncGenerator[Packet, None]:
        return _calls.packets(self._io, _requests.packets_request(self.name, start, stream), Stop())

    async def info(self) -> CameraInfo:
        found = await _calls.cameras(self._io, pb.CamerasRequest(cameras=[self.name]), 10.0)
        if not found:
            raise NoSuchCamera(f'camera "{self.name}" not found')
        return found[0]

    async def why(self) -> Why | None:
        try:
            return (await self.info()).why
        except Unavailable as error:
            return Why("GatewayUnreachable", str(error), "transient")

    def __repr__(self) -> str:
        return f"<AsyncCamera {self.name}>"
