"""Camera frames for machine learning: the client of Chrysalis Edge."""

from ._capture import VideoCapture
from ._edge import Buffer, Camera, CameraInfo, Codec, Edge, Packet, Why
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
from ._frame import Frame

__all__ = [
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
    "Unavailable",
    "VideoCapture",
    "Why",
]
