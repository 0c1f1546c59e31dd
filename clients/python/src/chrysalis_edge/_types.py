"""What calls give besides frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from . import _messages as pb


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


class Substream(NamedTuple):
    """The smaller stream of a camera, which is connected only while something wants it."""

    connected: bool
    #: None where it can be connected
    why: Why | None
    codec: str
    width: int
    height: int
    fps: float


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
    #: None for a camera without one
    substream: Substream | None = None


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


def camera_info(camera: Any) -> CameraInfo:
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
        substream=_substream(camera.substream) if camera.HasField("substream") else None,
    )


def _substream(sub: Any) -> Substream:
    why = Why(sub.reason, sub.message, "") if sub.reason else None
    return Substream(sub.connected, why, sub.codec, sub.width, sub.height, sub.fps)


def codec_of(codec: Any) -> Codec:
    return Codec(
        name=codec.name,
        width=codec.width,
        height=codec.height,
        extradata=codec.extradata,
        packaging=pb.PACKAGINGS[codec.packaging],
        time_base=(codec.time_base_num, codec.time_base_den),
        reorder=codec.reorder,
    )


def packet_of(packet: Any, codec: Codec, gap: bool) -> Packet:
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
