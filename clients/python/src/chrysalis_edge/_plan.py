"""How a rendition is made of a camera's frames, as the gateway makes it (common/media/rendition-plan.ts): the filters, and how a frame then
lies in the source."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from . import _messages as pb

Filter = tuple[str, str]

_SAME_RANGE = "in_range=pc:out_range=pc"
_PLANAR = "yuv420p|yuvj420p|yuv422p|yuvj422p|yuv444p|yuvj444p|gray"
#: What the scale filter is told, and the filters behind it.
_FORMATS: dict[str, tuple[str, list[Filter]]] = {
    "bgr": ("", [("format", "bgr24")]),
    "rgb": ("", [("format", "rgb24")]),
    "gray": (_SAME_RANGE, [("format", _PLANAR), ("extractplanes", "y"), ("format", "gray")]),
    "i420": (_SAME_RANGE, [("format", "yuv420p")]),
    "nv12": (_SAME_RANGE, [("format", "nv12")]),
    "jpeg": ("out_color_matrix=bt601:out_range=pc", [("format", "yuvj420p")]),
}


class Area(NamedTuple):
    x: int
    y: int
    width: int
    height: int


class Plan(NamedTuple):
    filters: list[Filter]
    geometry: Any


def plan(wanted: Any, width: int, height: int) -> Plan | None:
    """Of frames of this size. None: nothing of the region lies within them."""
    region = _within(wanted, width, height)
    if region is None:
        return None
    format = pb.FORMAT_NAMES[wanted.format]
    shown, inner, outer, pad = _layout(wanted, region, format)
    words, after = _FORMATS[format]
    filters: list[Filter] = []
    if (shown.width, shown.height) != (width, height):
        filters.append(("crop", f"{shown.width}:{shown.height}:{shown.x}:{shown.y}:exact=1"))
    size = [] if (shown.width, shown.height) == inner else [f"{inner[0]}:{inner[1]}"]
    if size or words:
        filters.append(("scale", ":".join([*size, *([words] if words else [])])))
    filters.extend(after)
    if inner != outer:
        filters.append(("pad", f"{outer[0]}:{outer[1]}:{pad[0]}:{pad[1]}:color=0x{wanted.pad_color:06x}"))
    geometry = pb.Geometry(source_width=width, source_height=height, pad_left=pad[0], pad_top=pad[1])
    geometry.region.CopyFrom(pb.Region(x=shown.x, y=shown.y, width=shown.width, height=shown.height))
    geometry.scale_x, geometry.scale_y = inner[0] / max(1, shown.width), inner[1] / max(1, shown.height)
    return Plan(filters, geometry)


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _layout(wanted: Any, region: Area, format: str) -> tuple[Area, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """What of the source is shown, the size that it is scaled to, that of the frame, and the padding at the left and the top."""
    width, height = wanted.width, wanted.height
    step = 2 if format in ("i420", "nv12") else 1

    def whole(pixels: float) -> int:
        return max(step, _rounded(pixels / step) * step)

    if not width or not height:
        if not width and not height:
            size = (region.width, region.height)
        elif not height:
            size = (width, whole(width * region.height / region.width))
        else:
            size = (whole(height * region.width / region.height), height)
        return region, size, size, (0, 0)
    outer = (width, height)
    if wanted.fit == pb.FITS["crop"]:
        return _centred(region, width, height), outer, outer, (0, 0)
    if wanted.fit != pb.FITS["letterbox"]:
        return region, outer, outer, (0, 0)
    scale = min(width / region.width, height / region.height)
    even = 2 if format in ("i420", "nv12", "jpeg") else 1

    def side(pixels: int, most: int) -> int:
        return min(most, max(even, _rounded(pixels * scale / even) * even))

    inner = (side(region.width, width), side(region.height, height))
    return region, inner, outer, ((width - inner[0]) // 2 // even * even, (height - inner[1]) // 2 // even * even)


def _centred(region: Area, width: int, height: int) -> Area:
    """The largest part in the middle of the region that has the shape of the frame."""
    scale = max(width / region.width, height / region.height)
    across = min(region.width, max(1, _rounded(width / scale)))
    down = min(region.height, max(1, _rounded(height / scale)))
    return Area(region.x + (region.width - across) // 2, region.y + (region.height - down) // 2, across, down)


def _within(wanted: Any, width: int, height: int) -> Area | None:
    if not wanted.HasField("region"):
        return Area(0, 0, width, height)
    region = wanted.region
    across, down = min(region.width, width - region.x), min(region.height, height - region.y)
    return Area(region.x, region.y, across, down) if across > 0 and down > 0 else None
