"""A frame, with its pixels as an array."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _messages as pb
from . import _calls
from ._errors import BadOption
from ._io import run

if TYPE_CHECKING:
    from ._io import AsyncIo, BlockingIo

Box = tuple[float, float, float, float]

#: CameraTime.Source
_RTCP = 2


class BaseFrame:
    """One frame of a camera. `image` shares the memory of the message, so it is read-only: copy it to draw on it."""

    __slots__ = ("_header", "_received", "data", "gap", "image")

    def __init__(self, header: Any, data: memoryview, gap: bool) -> None:
        self._header = header
        self._received = time.monotonic()
        #: The bytes of the frame: pixels, or a JPEG file.
        self.data = data
        #: Frames are missing before this one for a reason outside this program: the camera, the network or the gateway was interrupted.
        self.gap: bool = gap or header.gap
        #: bgr, rgb: (height, width, 3). gray: (height, width). i420, nv12: (height * 3 / 2, width), as OpenCV converts it. jpeg: (bytes,).
        self.image: npt.NDArray[np.uint8] = _array(header, data)

    @property
    def camera(self) -> str:
        """The camera's name, or NAMESPACE/NAME."""
        return str(self._header.camera)

    @property
    def id(self) -> str:
        """The same for this frame live, in the past, in a snapshot, as a packet and in an annotation."""
        return str(self._header.id)

    @property
    def time(self) -> float:
        """When the camera captured it, in seconds since the epoch."""
        return float(self._header.capture_time_ms / 1000)

    @property
    def time_ms(self) -> int:
        """The same in milliseconds."""
        return int(self._header.capture_time_ms)

    @property
    def camera_time(self) -> float | None:
        """When the camera captured it by its own clock, in seconds since the epoch. None where the camera does not tell."""
        told = self._header.camera_time
        return float(told.ms / 1000) if told.source == _RTCP else None

    @property
    def camera_time_uncertainty(self) -> float | None:
        """How far camera_time may be from the camera's clock, in seconds."""
        told = self._header.camera_time
        return float(told.uncertainty_ms / 1000) if told.source == _RTCP else None

    @property
    def age(self) -> float:
        """Seconds since its capture. This computer's clock may be wrong."""
        return float(self._header.age_ms / 1000) + time.monotonic() - self._received

    @property
    def skipped(self) -> int:
        """Frames before this one that this program did not take: it is slower than the camera, or wanted fewer."""
        return int(self._header.skipped)

    @property
    def keyframe(self) -> bool:
        return bool(self._header.keyframe)

    @property
    def corrupt(self) -> bool:
        """It was decoded from damaged or incomplete packets."""
        return bool(self._header.corrupt)

    @property
    def width(self) -> int:
        return int(self._header.width)

    @property
    def height(self) -> int:
        return int(self._header.height)

    @property
    def format(self) -> str:
        return pb.FORMAT_NAMES[self._header.format]

    @property
    def stream(self) -> str:
        """Which of the camera's streams it is of: "main" or "sub"."""
        return pb.STREAM_NAMES.get(self._header.stream, "main")

    @property
    def source_size(self) -> tuple[int, int]:
        """Width and height of the camera's own frame, in `stream`."""
        return self._header.geometry.source_width, self._header.geometry.source_height

    def source_box(self, box: Box) -> Box:
        """A box (left, top, right, bottom) of this frame in pixels of the camera's own frame."""
        left, top, right, bottom = (float(side) for side in box)
        geometry = self._header.geometry
        width, height = self.source_size
        scale_x, scale_y = float(geometry.scale_x) or 1.0, float(geometry.scale_y) or 1.0
        shown_x, shown_y = float(geometry.region.x), float(geometry.region.y)
        pad_x, pad_y = float(geometry.pad_left), float(geometry.pad_top)

        def x(value: float) -> float:
            return min(max(shown_x + (value - pad_x) / scale_x, 0.0), float(width))

        def y(value: float) -> float:
            return min(max(shown_y + (value - pad_y) / scale_y, 0.0), float(height))

        return x(left), y(top), x(right), y(bottom)

    def _annotation(
        self, type: str, box: Box | None, confidence: float, key: str | None, fields: dict[str, Any]
    ) -> tuple[Any, list[tuple[str, str]]]:
        """The request, and its metadata."""
        request = pb.AnnotateRequest(
            device_name=self.camera, type=type, start_timestamp=self.time_ms, confidence=confidence, is_keyframe=self.keyframe
        )
        request.width, request.height = self.source_size
        if box is not None:
            left, top, right, bottom = (round(side) for side in self.source_box(box))
            bounds = request.object_bouding_box
            bounds.left, bounds.top, bounds.width, bounds.height = left, top, right - left, bottom - top
        try:
            request.MergeFrom(pb.AnnotateRequest(**fields))
        except (TypeError, ValueError) as error:
            raise BadOption(f"no such annotation: {error}") from None
        return request, [("idempotency-key", key or str(uuid.uuid4())), ("frame-id", self.id)]

    def __repr__(self) -> str:
        return f"<Frame {self.id} of {self.camera}: {self.width}x{self.height} {self.format}, {self.age * 1000:.0f} ms old>"


class Frame(BaseFrame):
    """A frame that Edge gives."""

    __slots__ = ("_io",)

    def __init__(self, io: BlockingIo, header: Any, data: memoryview, gap: bool) -> None:
        super().__init__(header, data, gap)
        self._io = io

    def annotate(
        self,
        type: str,
        box: Box | None = None,
        *,
        confidence: float = 0.0,
        key: str | None = None,
        timeout: float = 30.0,
        **fields: Any,
    ) -> None:
        """Stores what was seen in this frame. `box`: (left, top, right, bottom) in this frame's pixels. Returns when it is stored.
        `fields`: others of AnnotateRequest, such as object_id or ml_model. It is stored once, however often it is sent: `key` names it."""
        request, metadata = self._annotation(type, box, confidence, key, fields)
        run(_calls.unary(self._io, "annotate", request, timeout, metadata))


class AsyncFrame(BaseFrame):
    """A frame that AsyncEdge gives."""

    __slots__ = ("_io",)

    def __init__(self, io: AsyncIo, header: Any, data: memoryview, gap: bool) -> None:
        super().__init__(header, data, gap)
        self._io = io

    async def annotate(
        self,
        type: str,
        box: Box | None = None,
        *,
        confidence: float = 0.0,
        key: str | None = None,
        timeout: float = 30.0,
        **fields: Any,
    ) -> None:
        """As Frame.annotate."""
        request, metadata = self._annotation(type, box, confidence, key, fields)
        await _calls.unary(self._io, "annotate", request, timeout, metadata)


def _array(header: Any, data: memoryview) -> npt.NDArray[np.uint8]:
    name = pb.FORMAT_NAMES.get(header.format, "bgr")
    image: npt.NDArray[np.uint8]
    width, height = header.width, header.height
    stride = header.strides[0] if header.strides else 0
    if name == "jpeg":
        image = np.frombuffer(data, np.uint8)
    elif name in ("bgr", "rgb"):
        image = np.ndarray((height, width, 3), np.uint8, data, strides=(stride or width * 3, 3, 1))
    elif name == "gray":
        image = np.ndarray((height, width), np.uint8, data, strides=(stride or width, 1))
    else:
        image = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
    return image
