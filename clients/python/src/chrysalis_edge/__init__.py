"""Camera frames for machine learning: the client of Chrysalis Edge."""

from ._async_edge import AsyncCamera, AsyncEdge
from ._capture import VideoCapture
from ._edge import Camera, Edge
from ._errors import (
    BadOption,
    EdgeError,
    LimitReached,
    NoFrame,
    NoSuchCamera,
    NotAuthenticated,
    NotInBuffer,
    NotPermitted,
    NotPossible,
    Unavailable,
)
from ._frame import AsyncFrame, Frame
from ._types import Buffer, CameraInfo, Codec, Packet, Substream, Why

__all__ = [
    "AsyncCamera",
    "AsyncEdge",
    "AsyncFrame",
    "BadOption",
    "Buffer",
    "Camera",
    "CameraInfo",
    "Codec",
    "Edge",
    "EdgeError",
    "Frame",
    "LimitReached",
    "NoFrame",
    "NoSuchCamera",
    "NotAuthenticated",
    "NotInBuffer",
    "NotPermitted",
    "NotPossible",
    "Packet",
    "Substream",
    "Unavailable",
    "VideoCapture",
    "Why",
]
