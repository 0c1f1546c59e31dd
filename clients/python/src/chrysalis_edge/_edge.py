"""Edge and Camera: what a program begins with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _calls, _requests
from . import _messages as pb
from ._connection import Target
from ._errors import NoSuchCamera, Unavailable
from ._frame import Frame
from ._io import BlockingIo, Stop, iterate, run
from ._sync import sync
from ._types import CameraInfo, Packet, Why

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import LookOptions, RenditionOptions


class Edge:
    """A gateway of Chrysalis Edge. It connects when it is first used, and again whenever the connection breaks.

    `address`: HOST:PORT, or https://HOST:PORT for TLS. Default: CHRYSALIS_ADDRESS; in a pod, the gateway of the namespace chrysalis-edge.
    `token`: default CHRYSALIS_TOKEN, the file in CHRYSALIS_TOKEN_FILE, and with TLS the pod's own token. A file is read for each call.
    `ca`: a file with the authority of the gateway's certificate. Default: CHRYSALIS_CA, else those of the system.
    """

    def __init__(
        self, address: str | None = None, token: str | None = None, *, ca: str | os.PathLike[str] | None = None
    ) -> None:
        self._io = BlockingIo(Target(address, token, ca))

    def camera(self, name: str) -> Camera:
        """A camera by NAME or NAMESPACE/NAME. Whether it exists is asked with the first call."""
        return Camera(self, name)

    def cameras(self, selector: str | None = None, *, timeout: float = 10.0) -> list[CameraInfo]:
        """The cameras that a label selector such as "site=shop,floor in (1,2)" matches; without one, all that the token may see."""
        return run(_calls.cameras(self._io, _requests.cameras_request(selector), timeout))

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
    ) -> Iterator[Frame]:
        """Frames of many cameras in turn: of those that a label selector matches, which may come and go, or of `cameras` by name.
        Programs of one user with the same `group` share the cameras out: each camera's frames go to one of them."""
        wish = _requests.wish_of(selector, cameras, fps, newest, max_age, keyframes, look, group)
        return iterate(_calls.watch(self._io, wish, _requests.window_of(newest, max_age), self._frame, Stop()))

    def sync(self, cameras: list[str], tolerance: float = 0.05, **look: Unpack[RenditionOptions]) -> Iterator[tuple[Frame, ...]]:
        """Frames that cameras with one clock, such as one NTP server's, captured within `tolerance` seconds of one another: a tuple with
        a frame of each, in the order of `cameras`. Frames that find no partners are skipped, and so are frames without camera_time."""
        wish = _requests.sync_wish(cameras, tolerance, look)
        frames = _calls.watch(self._io, wish, _requests.EVERY_WINDOW * len(cameras), self._frame, Stop())
        return iterate(sync(frames, cameras, tolerance))

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
    ) -> Iterator[list[Frame]]:
        """Lists of 1 to `size` frames of many cameras in turn. A list waits at most `timeout` seconds after its first frame to be full.
        No frame in it is older than `max_age` seconds when it is given. `frame_size` is the size of each frame."""
        _requests.check_batch(size)
        wish = _requests.wish_of(selector, cameras, fps, True, max_age, False, {"size": frame_size, **look}, group)
        return self._batches(wish, size, timeout, max_age)

    def _batches(self, wish: Any, size: int, timeout: float, max_age: float | None) -> Iterator[list[Frame]]:
        stop = Stop()
        taker = self._io.taker(_calls.watch(self._io, wish, 1, self._frame, stop), stop, size)
        yield from iterate(_calls.batches(taker, size, timeout, max_age))

    def close(self) -> None:
        """Ends all loops over frames, and the connection."""
        self._io.close()

    def __enter__(self) -> Edge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _frame(self, header: Any, data: memoryview, gap: bool) -> Frame:
        return Frame(self._io, header, data, gap)


class Camera:
    """A camera by its name."""

    def __init__(self, edge: Edge, name: str) -> None:
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
    ) -> Iterator[Frame]:
        """Frames as they come, without an end. With `newest` a slow loop skips frames and always gets the newest one; without, it gets every
        frame in order, as long as the gateway has it. `fps`: at most so many a second. `max_age`: none older than so many seconds.
        `decode`: "gateway", or "local" to get packets and decode them in this program, which wants the extra "av" and a buffer."""
        _requests.check_decode(decode)
        wish = _requests.wish_of("", [self.name], fps, newest, max_age, keyframes, look)
        if decode == "local":
            from . import _local

            _local.check()
            return self._local(wish, look.get("stream"))
        return iterate(_calls.watch(self._io, wish, _requests.window_of(newest, max_age), self._edge._frame, Stop()))

    def _local(self, wish: Any, stream: str | None) -> Iterator[Frame]:
        from . import _local

        stop = Stop()
        packets = _calls.packets(self._io, _requests.packets_request(self.name, None, stream), stop)
        taker = self._io.taker(packets, stop, _local.PACKETS_MAX)
        yield from iterate(_local.frames(self._io, taker, wish, self._edge._frame))

    def snapshot(
        self,
        at: float | datetime | None = None,
        *,
        max_age: float | None = None,
        timeout: float = 15.0,
        **look: Unpack[RenditionOptions],
    ) -> Frame:
        """The newest frame, or the one captured at or before `at`."""
        request = _requests.snapshot_request(self.name, at, max_age, look)
        return run(_calls.snapshot(self._io, request, timeout, self._edge._frame))

    def past(
        self,
        start: float | datetime,
        end: float | datetime | None = None,
        *,
        fps: float = 0.0,
        keyframes: bool = False,
        **look: Unpack[RenditionOptions],
    ) -> Iterator[Frame]:
        """The frames captured from `start` to `end`, in order, both included: times are datetimes, or seconds since the epoch; negative:
        seconds before now. Without `end`: up to now. After an interruption it goes on where it was."""
        request = _requests.replay_request(self.name, start, end, fps, keyframes, look)
        return iterate(_calls.past(self._io, request, self._edge._frame))

    def packets(self, start: float | datetime | None = None, *, stream: str | None = None) -> Iterator[Packet]:
        """Encoded packets, for a decoder of your own: the GOP so far and then live, or from the keyframe at or before `start` on.
        `stream`: "main" or "sub"."""
        return iterate(_calls.packets(self._io, _requests.packets_request(self.name, start, stream), Stop()))

    @property
    def info(self) -> CameraInfo:
        """The camera's state now."""
        found = run(_calls.cameras(self._io, pb.CamerasRequest(cameras=[self.name]), 10.0))
        if not found:
            raise NoSuchCamera(f'camera "{self.name}" not found')
        return found[0]

    @property
    def why(self) -> Why | None:
        """Why it gives no frames, or is not healthy. None: it is healthy."""
        try:
            return self.info.why
        except Unavailable as error:
            return Why("GatewayUnreachable", str(error), "transient")

    def __repr__(self) -> str:
        return f"<Camera {self.name}>"
