"""Edge and Camera: what a program begins with."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple

import grpc

from . import _messages as pb
from ._connection import Connection, Tries, log
from ._errors import BadOption, NoSuchCamera, Unavailable, error_of, passes
from ._frame import Frame
from ._options import LookOptions, RenditionOptions, max_age_ms, milliseconds, rendition
from ._sync import sync
from ._wire import split

try:
    from typing import Unpack
except ImportError:  # Python 3.10
    from typing_extensions import Unpack

#: Frames under way to a program that wants every one.
EVERY_WINDOW = 8


class Why(NamedTuple):
    """Why a camera gives no frames."""

    #: Such as AuthFailed. docs/troubleshooting.md lists them.
    reason: str
    #: What happened and what to do.
    message: str
    #: "transient": it may pass by itself. "needs-a-person": it does not.
    severity: str


class Buffer(NamedTuple):
    """How far a camera's past reaches, in seconds since the epoch."""

    start: float
    end: float
    packets: int
    bytes: int


@dataclass(frozen=True)
class CameraInfo:
    """A camera and its state when it was asked for."""

    name: str
    namespace: str
    labels: dict[str, str]
    #: "running", "restarting", "failed" or "stopped"
    status: str
    #: "healthy", "unhealthy" or "starting"
    health: str
    #: None while it is healthy
    why: Why | None
    codec: str
    width: int
    height: int
    fps: float
    bits_per_second: float
    buffer: Buffer | None


@dataclass(frozen=True)
class Codec:
    """What a decoder of packets needs to know."""

    #: As ffmpeg calls it: "h264", "hevc", "mjpeg" …
    name: str
    width: int
    height: int
    extradata: bytes
    #: "raw", "annex_b" or "length_prefixed"
    packaging: str
    time_base: tuple[int, int]
    reorder: int


@dataclass(frozen=True)
class Packet:
    """One encoded frame."""

    #: The id of the frame that it decodes to.
    id: str
    time: float
    pts: int
    dts: int
    keyframe: bool
    corrupt: bool
    #: Packets are missing before this keyframe.
    gap: bool
    #: It is older than live.
    past: bool
    data: bytes
    codec: Codec


class Edge:
    """A gateway of Chrysalis Edge. It connects when it is first used, and again whenever the connection breaks.

    `address`: HOST:PORT, or https://HOST:PORT for TLS. Default: CHRYSALIS_ADDRESS; in a pod, the gateway of the namespace chrysalis-edge.
    `token`: default CHRYSALIS_TOKEN, the file in CHRYSALIS_TOKEN_FILE, and with TLS the pod's own token. A file is read for each call.
    `ca`: a file with the authority of the gateway's certificate. Default: CHRYSALIS_CA, else those of the system.
    """

    def __init__(
        self, address: str | None = None, token: str | None = None, *, ca: str | os.PathLike[str] | None = None
    ) -> None:
        self._connection = Connection(address, token, ca)

    def camera(self, name: str) -> Camera:
        """A camera by NAME or NAMESPACE/NAME. Whether it exists is asked with the first call."""
        return Camera(self, name)

    def cameras(self, selector: str | None = None, *, timeout: float = 10.0) -> list[CameraInfo]:
        """The cameras that a label selector such as "site=shop,floor in (1,2)" matches; without one, all that the token may see."""
        request = pb.CamerasRequest()
        if selector is not None:
            request.selector = selector
        return self._cameras(request, timeout)

    def frames(
        self,
        selector: str = "",
        *,
        cameras: list[str] | None = None,
        fps: float = 0.0,
        newest: bool = True,
        max_age: float | None = None,
        keyframes: bool = False,
        **look: Unpack[RenditionOptions],
    ) -> Iterator[Frame]:
        """Frames of many cameras in turn: of those that a label selector matches, which may come and go, or of `cameras` by name."""
        wish = _wish(fps, newest, max_age, keyframes, look)
        if cameras is None:
            wish.selector = selector
        else:
            wish.cameras.extend(cameras)
        return self._watch(wish, 1 if newest else EVERY_WINDOW)

    def sync(
        self, cameras: list[str], tolerance: float = 0.05, **look: Unpack[RenditionOptions]
    ) -> Iterator[tuple[Frame, ...]]:
        """Frames that cameras with one clock, such as one NTP server's, captured within `tolerance` seconds of one another: a tuple with
        a frame of each, in the order of `cameras`. Frames that find no partners are skipped, and so are frames without camera_time."""
        if len(cameras) < 2 or len(set(cameras)) < len(cameras):
            raise BadOption("sync needs two or more different cameras")
        if not tolerance > 0:
            raise BadOption(f"tolerance must be more than 0 seconds, not {tolerance!r}")
        wish = _wish(0.0, False, None, False, look)
        wish.cameras.extend(cameras)
        return sync(self._watch(wish, EVERY_WINDOW * len(cameras)), cameras, tolerance)

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
        **look: Unpack[LookOptions],
    ) -> Iterator[list[Frame]]:
        """Lists of 1 to `size` frames of many cameras in turn. A list waits at most `timeout` seconds after its first frame to be full.
        No frame in it is older than `max_age` seconds when it is given. `frame_size` is the size of each frame."""
        if size < 1 or size > 1024:
            raise BadOption(f"size must be from 1 to 1024, not {size!r}")
        wish = _wish(fps, True, max_age, False, {"size": frame_size, **look})
        if cameras is None:
            wish.selector = selector
        else:
            wish.cameras.extend(cameras)
        return self._batches(wish, size, timeout, max_age)

    def close(self) -> None:
        """Ends all loops over frames, and the connection."""
        self._connection.close()

    def __enter__(self) -> Edge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _cameras(self, request: Any, timeout: float) -> list[CameraInfo]:
        connection = self._connection

        def ask(left: float) -> list[CameraInfo]:
            found: dict[str, CameraInfo] = {}
            call = connection.cameras(request, timeout=left, metadata=connection.metadata())
            try:
                for answer in call:
                    event = answer.WhichOneof("event")
                    if event == "camera":
                        found[answer.camera.name] = _info(answer.camera)
                    elif event == "synced":
                        break
            finally:
                call.cancel()
            return list(found.values())

        return connection.unary(ask, timeout)

    def _watch(self, wish: Any, window: int, ended: _End | None = None) -> Iterator[Frame]:
        """Frames until the caller ends it. A frame's room is given back when the next one is asked for: what comes then is the newest."""
        connection = self._connection
        tries = Tries(connection)
        worked = interrupted = False
        resumed: set[str] = set()
        while not connection.closed.is_set():
            requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
            requests.put(pb.WatchRequest(wish=wish, credit=window))
            call = connection.watch(iter(requests.get, None), metadata=connection.metadata())
            if ended is not None:
                ended.cancels(call)
            error = None
            try:
                for raw in call:
                    worked = True
                    parts = split(raw)
                    if parts is None:
                        _report(pb.WatchResponse.FromString(raw).status)
                        continue
                    tries.worked()
                    header, data = parts
                    gap = interrupted and header.camera not in resumed
                    if gap:
                        resumed.add(header.camera)
                    yield Frame(self, header, data, gap)
                    requests.put(pb.WatchRequest(credit=1))
            except grpc.RpcError as failure:
                error = failure
            finally:
                call.cancel()
                requests.put(None)  # the thread in which gRPC reads them ends
            if connection.closed.is_set() or (ended is not None and ended.is_set()):
                return
            if error is not None and not passes(error, worked):
                raise error_of(error) from None
            # A token that is refused twice is not one that was just renewed.
            if error is not None and error.code() is grpc.StatusCode.UNAUTHENTICATED:
                worked = False
            interrupted = interrupted or worked
            resumed.clear()
            if not tries.pause(error):
                return

    def _batches(self, wish: Any, size: int, timeout: float, max_age: float | None) -> Iterator[list[Frame]]:
        """Frames are taken in a thread, as gRPC has no wait with a limit."""
        taken: queue.Queue[Frame | BaseException | None] = queue.Queue()
        room = threading.Semaphore(size)
        ended = _End()
        frames = self._watch(wish, 1, ended)

        def take() -> None:
            last: BaseException | None = None
            try:
                while not ended.is_set():
                    room.acquire()
                    frame = None if ended.is_set() else next(frames, None)
                    if frame is None:
                        break
                    taken.put(frame)
            except BaseException as error:
                last = error
            frames.close()  # type: ignore[attr-defined]
            taken.put(last)

        thread = threading.Thread(target=take, daemon=True, name="chrysalis-edge-batches")
        thread.start()
        try:
            while True:
                batch: list[Frame] = []
                end = float("inf")
                while len(batch) < size:
                    left = end - time.monotonic()
                    try:
                        item = taken.get(timeout=None if left == float("inf") else max(0.0, left))
                    except queue.Empty:
                        break
                    if item is None:
                        return
                    if isinstance(item, BaseException):
                        raise item
                    room.release()
                    if max_age is not None and item.age > max_age:
                        continue
                    if not batch:
                        end = time.monotonic() + timeout
                    batch.append(item)
                fresh = [frame for frame in batch if max_age is None or frame.age <= max_age]
                if fresh:
                    yield fresh
        finally:
            ended.set()
            room.release()


class _End(threading.Event):
    """Ends a running call from another thread."""

    _call: Any = None

    def cancels(self, call: Any) -> None:
        self._call = call
        if self.is_set():
            call.cancel()

    def set(self) -> None:
        super().set()
        if self._call is not None:
            self._call.cancel()


class Camera:
    """A camera by its name."""

    def __init__(self, edge: Edge, name: str) -> None:
        self._edge = edge
        self.name = name

    def frames(
        self,
        *,
        fps: float = 0.0,
        newest: bool = True,
        max_age: float | None = None,
        keyframes: bool = False,
        **look: Unpack[RenditionOptions],
    ) -> Iterator[Frame]:
        """Frames as they come, without an end. With `newest` a slow loop skips frames and always gets the newest one; without, it gets every
        frame in order, as long as the gateway has it. `fps`: at most so many a second. `max_age`: none older than so many seconds."""
        return self._edge.frames(cameras=[self.name], fps=fps, newest=newest, max_age=max_age, keyframes=keyframes, **look)

    def snapshot(
        self,
        at: float | datetime | None = None,
        *,
        max_age: float | None = None,
        timeout: float = 15.0,
        **look: Unpack[RenditionOptions],
    ) -> Frame:
        """The newest frame, or the one captured at or before `at`."""
        request = pb.SnapshotRequest(camera=self.name, rendition=rendition(**look), max_age_ms=max_age_ms(max_age))
        if at is not None:
            request.at_ms = milliseconds("at", at)
        connection = self._edge._connection
        raw = connection.unary(lambda left: connection.snapshot(request, timeout=left, metadata=connection.metadata()), timeout)
        parts = split(raw)
        if parts is None:
            raise Unavailable("an answer without a frame")
        return Frame(self._edge, *parts)

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
        request = pb.ReplayRequest(camera=self.name, rendition=rendition(**look), keyframes_only=keyframes, max_fps=fps)
        request.from_ms = milliseconds("start", start)
        request.to_ms = 0 if end is None else milliseconds("end", end)
        return self._past(request)

    def packets(self, start: float | datetime | None = None) -> Iterator[Packet]:
        """Encoded packets, for a decoder of your own: the GOP so far and then live, or from the keyframe at or before `start` on."""
        request = pb.PacketsRequest(camera=self.name)
        if start is not None:
            request.from_ms = milliseconds("start", start)
        return self._packets(request)

    @property
    def info(self) -> CameraInfo:
        """The camera's state now."""
        found = self._edge._cameras(pb.CamerasRequest(cameras=[self.name]), 10.0)
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

    def _past(self, request: Any) -> Iterator[Frame]:
        connection = self._edge._connection
        tries = Tries(connection)
        seen: set[str] = set()  # of the last capture time
        worked = False
        while True:
            call = connection.replay(request, metadata=connection.metadata())
            try:
                for raw in call:
                    worked = True
                    parts = split(raw)
                    if parts is None:
                        lost = pb.ReplayResponse.FromString(raw).lost
                        log.warning("%s: the past from %d to %d is lost: %s: %s", self.name, lost.from_ms, lost.to_ms, lost.reason, lost.message)
                        continue
                    tries.worked()
                    frame = Frame(self._edge, *parts)
                    if frame.id in seen:
                        continue
                    if frame.time_ms != request.from_ms:
                        seen.clear()
                    seen.add(frame.id)
                    request.from_ms = frame.time_ms
                    yield frame
                return
            except grpc.RpcError as error:
                if connection.closed.is_set():
                    return
                if not passes(error, worked):
                    raise error_of(error) from None
                if not tries.pause(error):
                    return
            finally:
                call.cancel()

    def _packets(self, request: Any) -> Iterator[Packet]:
        connection = self._edge._connection
        tries = Tries(connection)
        codec: Codec | None = None
        seen: set[str] = set()  # of the current GOP: a call that begins again repeats them
        worked = interrupted = False
        while True:
            call = connection.packets(request, metadata=connection.metadata())
            error = None
            try:
                for answer in call:
                    worked = True
                    event = answer.WhichOneof("event")
                    if event == "codec":
                        codec = _codec(answer.codec)
                    elif event == "status":
                        _report(answer.status)
                    elif event == "lost":
                        log.warning("%s: packets are lost: %s: %s", self.name, answer.lost.reason, answer.lost.message)
                    elif event == "packet" and codec is not None and answer.packet.id not in seen:
                        tries.worked()
                        packet = answer.packet
                        if packet.keyframe:
                            seen.clear()
                        seen.add(packet.id)
                        if request.HasField("from_ms"):
                            request.from_ms = packet.capture_time_ms
                        gap = packet.gap or interrupted
                        interrupted = False
                        yield _packet(packet, codec, gap)
            except grpc.RpcError as failure:
                error = failure
            finally:
                call.cancel()
            if connection.closed.is_set():
                return
            if error is not None and not passes(error, worked):
                raise error_of(error) from None
            interrupted = interrupted or worked
            if not tries.pause(error):
                return

    def __repr__(self) -> str:
        return f"<Camera {self.name}>"


def _wish(fps: float, newest: bool, max_age: float | None, keyframes: bool, look: RenditionOptions) -> Any:
    mode = pb.MODES["newest" if newest else "every"]
    return pb.Wish(rendition=rendition(**look), mode=mode, max_fps=fps, max_age_ms=max_age_ms(max_age), keyframes_only=keyframes)


def _report(status: Any) -> None:
    state = pb.STATES.get(status.state)
    if state == "no_frames":
        log.warning("%s gives no frames: %s: %s", status.camera, status.reason, status.message)
    elif state == "gone":
        log.warning("%s was deleted, or is not selected any more", status.camera)
    else:
        log.info("%s gives frames", status.camera)


def _info(camera: Any) -> CameraInfo:
    why = Why(camera.reason, camera.message, pb.SEVERITIES.get(camera.severity, "")) if camera.reason else None
    stored = camera.buffer
    buffer = Buffer(stored.from_ms / 1000, stored.to_ms / 1000, stored.packets, stored.bytes) if camera.HasField("buffer") else None
    return CameraInfo(
        name=camera.name,
        namespace=camera.namespace,
        labels=dict(camera.labels),
        status=camera.status,
        health=camera.health,
        why=why,
        codec=camera.codec,
        width=camera.width,
        height=camera.height,
        fps=camera.fps,
        bits_per_second=camera.bits_per_second,
        buffer=buffer,
    )


def _codec(codec: Any) -> Codec:
    return Codec(
        name=codec.name,
        width=codec.width,
        height=codec.height,
        extradata=codec.extradata,
        packaging=pb.PACKAGINGS[codec.packaging],
        time_base=(codec.time_base_num, codec.time_base_den),
        reorder=codec.reorder,
    )


def _packet(packet: Any, codec: Codec, gap: bool) -> Packet:
    return Packet(
        id=packet.id,
        time=packet.capture_time_ms / 1000,
        pts=packet.pts,
        dts=packet.dts,
        keyframe=packet.keyframe,
        corrupt=packet.corrupt,
        gap=gap,
        past=packet.past,
        data=packet.data,
        codec=codec,
    )
