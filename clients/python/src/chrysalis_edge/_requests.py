"""The requests of Edge and AsyncEdge, made of what a caller says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import _messages as pb
from ._errors import BadOption
from ._options import RenditionOptions, max_age_ms, milliseconds, rendition, stream_of

#: Frames under way to a program that wants every one.
EVERY_WINDOW = 8


def cameras_request(selector: str | None) -> Any:
    request = pb.CamerasRequest()
    if selector is not None:
        request.selector = selector
    return request


def wish_of(
    selector: str,
    cameras: list[str] | None,
    fps: float,
    newest: bool,
    max_age: float | None,
    keyframes: bool,
    look: RenditionOptions,
    group: str = "",
) -> Any:
    if not 0 <= fps < 1e6:
        raise BadOption(f"fps must be a number of frames a second, not {fps!r}")
    mode = pb.MODES["newest" if newest else "every"]
    wish = pb.Wish(rendition=rendition(**look), mode=mode, max_fps=fps, max_age_ms=max_age_ms(max_age), keyframes_only=keyframes, group=group)
    wish.stream = stream_of(look.get("stream"))
    if cameras is None:
        wish.selector = selector
    else:
        wish.cameras.extend(cameras)
    return wish


def sync_wish(cameras: list[str], tolerance: float, look: RenditionOptions) -> Any:
    if len(cameras) < 2 or len(set(cameras)) < len(cameras):
        raise BadOption("sync needs two or more different cameras")
    if not tolerance > 0:
        raise BadOption(f"tolerance must be more than 0 seconds, not {tolerance!r}")
    return wish_of("", cameras, 0.0, False, None, False, look)


def window_of(newest: bool, max_age: float | None) -> int:
    """Frames that may be under way. Those that wait at the program grow older there."""
    return 1 if newest or max_age is not None else EVERY_WINDOW


def check_batch(size: int) -> None:
    if size < 1 or size > 1024:
        raise BadOption(f"size must be from 1 to 1024, not {size!r}")


def check_decode(decode: str) -> None:
    if decode not in ("gateway", "local"):
        raise BadOption(f"decode must be gateway or local, not {decode!r}")


def snapshot_request(camera: str, at: float | datetime | None, max_age: float | None, look: RenditionOptions) -> Any:
    request = pb.SnapshotRequest(camera=camera, rendition=rendition(**look), max_age_ms=max_age_ms(max_age))
    request.stream = stream_of(look.get("stream"))
    if at is not None:
        request.at_ms = milliseconds("at", at)
    return request


def replay_request(
    camera: str, start: float | datetime, end: float | datetime | None, fps: float, keyframes: bool, look: RenditionOptions
) -> Any:
    if look.get("stream") == "sub":
        raise BadOption("stream must not be sub: the substream has no past")
    request = pb.ReplayRequest(camera=camera, rendition=rendition(**look), keyframes_only=keyframes, max_fps=fps)
    request.from_ms = milliseconds("start", start)
    request.to_ms = 0 if end is None else milliseconds("end", end)
    return request


def packets_request(camera: str, start: float | datetime | None, stream: str | None = None) -> Any:
    request = pb.PacketsRequest(camera=camera, stream=stream_of(stream))
    if start is not None:
        request.from_ms = milliseconds("start", start)
    return request
