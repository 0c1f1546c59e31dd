"""What a caller wants of frames, as the requests say it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, TypedDict

from . import _messages as pb
from ._errors import BadOption


class LookOptions(TypedDict, total=False):
    """How a frame looks. `fit`: "stretch", "letterbox" or "crop". `format`: "bgr", "rgb", "gray", "i420", "nv12" or "jpeg".
    `region`: (x, y, width, height) of the source. `pad_color`: 0xRRGGBB. `stream`: "main" or "sub", of a camera with a substream; by default
    live frames that are small enough come from the substream."""

    fit: str
    format: str
    region: tuple[int, int, int, int] | None
    pad_color: int
    jpeg_quality: int
    stream: str | None


class RenditionOptions(LookOptions, total=False):
    """`size`: (width, height); one of them 0: it follows from the aspect ratio."""

    size: tuple[int, int] | None


def rendition(
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    format: str = "bgr",
    region: tuple[int, int, int, int] | None = None,
    pad_color: int = 0,
    jpeg_quality: int = 0,
    stream: str | None = None,
) -> Any:
    """`stream` is no part of it: see stream_of."""
    if fit not in pb.FITS:
        raise BadOption(f"fit must be one of {', '.join(pb.FITS)}, not {fit!r}")
    if format not in pb.FORMATS:
        raise BadOption(f"format must be one of {', '.join(pb.FORMATS)}, not {format!r}")
    wanted = pb.Rendition(fit=pb.FITS[fit], format=pb.FORMATS[format], pad_color=pad_color, jpeg_quality=jpeg_quality)
    try:
        if size is not None:
            wanted.width, wanted.height = (int(side) for side in size)
        if region is not None:
            x, y, width, height = (int(number) for number in region)
            wanted.region.CopyFrom(pb.Region(x=x, y=y, width=width, height=height))
    except (TypeError, ValueError) as error:
        raise BadOption(f"size must be (width, height), and region (x, y, width, height): {error}") from None
    return wanted


def stream_of(stream: str | None) -> int:
    if stream is None:
        return 0
    if stream not in pb.STREAMS:
        raise BadOption(f"stream must be main or sub, not {stream!r}")
    return pb.STREAMS[stream]


def milliseconds(name: str, when: float | datetime) -> int:
    """Of a datetime, of seconds since the epoch, or of seconds before now if it is negative."""
    if isinstance(when, datetime):
        seconds = when.timestamp()
    elif isinstance(when, (int, float)):
        seconds = time.time() + when if when < 0 else float(when)
    else:
        raise BadOption(f"{name} must be a datetime, or seconds since the epoch; negative: seconds before now")
    return round(seconds * 1000)


def max_age_ms(max_age: float | None) -> int:
    if max_age is None:
        return 0
    if not 0 < max_age < 1e6:
        raise BadOption(f"max_age must be a number of seconds above 0, not {max_age!r}")
    return max(1, round(max_age * 1000))
