"""VideoCapture as OpenCV has it, so that a script changes one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._edge import Edge
from ._errors import BadOption, EdgeError
from ._frame import Frame

# OpenCV's numbers.
POS_MSEC, FRAME_WIDTH, FRAME_HEIGHT, FPS = 0, 3, 4, 5


class VideoCapture:
    """`VideoCapture("chrysalis://front-door")`: read, grab, retrieve, get, isOpened and release as OpenCV's. Options are those of
    `Camera.frames`. "chrysalis://HOST:PORT/NAME" names the gateway too. `read` waits for a frame through every interruption."""

    def __init__(self, url: str = "", api: int = 0, **options: Any) -> None:
        self._edge: Edge | None = None
        self._frames: Iterator[Frame] = iter(())
        self._frame: Frame | None = None
        self._fps = 0.0
        self._size = (0, 0)
        if url:
            self.open(url, api, **options)

    def open(self, url: str, api: int = 0, **options: Any) -> bool:
        """False: there is no such camera, it may not be seen, or the gateway does not answer."""
        self.release()
        scheme, _, path = url.partition("://")
        if scheme != "chrysalis" or not path:
            raise BadOption(f"the URL must be chrysalis://NAME or chrysalis://HOST:PORT/NAME, not {url!r}")
        host, _, rest = path.partition("/")
        edge, name = (Edge(host), rest) if ":" in host else (Edge(), path)
        try:
            info = edge.camera(name).info
        except EdgeError:
            edge.close()
            return False
        self._fps, self._size = info.fps, (info.width, info.height)
        self._frames = edge.camera(name).frames(**options)
        self._edge = edge
        return True

    def isOpened(self) -> bool:
        return self._edge is not None

    def grab(self) -> bool:
        self._frame = next(self._frames, None)
        return self._frame is not None

    def retrieve(self, image: Any = None, flag: int = 0) -> tuple[bool, npt.NDArray[np.uint8] | None]:
        """The frame that was grabbed, as an array that may be drawn on."""
        return (False, None) if self._frame is None else (True, self._frame.image.copy())

    def read(self, image: Any = None) -> tuple[bool, npt.NDArray[np.uint8] | None]:
        self.grab()
        return self.retrieve()

    def get(self, prop: int) -> float:
        """Position, width, height and rate. Other properties are 0, as OpenCV answers what a source does not have."""
        frame = self._frame
        if prop == POS_MSEC:
            return 0.0 if frame is None else float(frame.time_ms)
        if prop == FRAME_WIDTH:
            return float(self._size[0] if frame is None else frame.width)
        if prop == FRAME_HEIGHT:
            return float(self._size[1] if frame is None else frame.height)
        return self._fps if prop == FPS else 0.0

    def set(self, prop: int, value: float) -> bool:
        """Always False: a source of frames has nothing to set."""
        return False

    def release(self) -> None:
        if self._edge is not None:
            self._frames.close()  # type: ignore[attr-defined]
            self._edge.close()
        self._edge = self._frame = None
        self._frames = iter(())
