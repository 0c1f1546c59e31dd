"""decode="local": the gateway sends packets, and this program decodes them with PyAV. Frames, ids and options are those of the gateway."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import AsyncGenerator
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import _messages as pb
from ._calls import Make
from ._connection import log
from ._errors import EdgeError
from ._io import END, LATE, Io, Taker
from ._plan import Plan, plan
from ._types import Codec, Packet

T = TypeVar("T")

#: Packets that wait for a slow loop. Then the gateway holds the next ones, and goes on at a keyframe when it holds too many.
PACKETS_MAX = 256
#: Frames that a decoder may hold back, with room: what is older never comes.
_HELD_MAX = 64
_QP_TO_LAMBDA = 118


def check() -> None:
    if importlib.util.find_spec("av") is None:
        raise EdgeError('decode="local" needs PyAV: pip install "chrysalis-edge[av]"')


async def frames(io: Io, taker: Taker, wish: Any, make: Make[T]) -> AsyncGenerator[T, None]:
    newest = wish.mode == pb.MODES["newest"]
    local = _Local(wish)
    try:
        while True:
            packets = [await taker.take(None)]
            while newest and packets[-1] not in (LATE, END) and len(packets) < PACKETS_MAX:
                packets.append(await taker.take(0))
            arrived = [packet for packet in packets if packet is not LATE and packet is not END]
            # A loop that is in time gets each frame; one that is not gets the newest of what waited.
            for frame in await io.compute(lambda: local.frames(arrived, newest)):
                yield make(*frame, False)
            if packets[-1] is END:
                return
    finally:
        await taker.close()


class _Decoded(NamedTuple):
    packet: Packet
    picture: Any
    gap: bool


class _Local:
    """Decodes, picks what is wanted, and renders only that."""

    def __init__(self, wish: Any) -> None:
        self._wish = wish
        self._decoder: _Decoder | None = None
        self._renderer: _Renderer | None = None
        self._skipped = 0
        self._gap = False
        self._slot = -1

    def frames(self, packets: list[Packet], newest: bool) -> list[tuple[Any, memoryview]]:
        decoded = [each for packet in packets for each in self._decode(packet)]
        wanted = [each for each in decoded if self._is_due(each)]
        if newest and len(wanted) > 1:
            self._skipped += len(wanted) - 1
            wanted = wanted[-1:]
        return [frame for each in wanted if (frame := self._render(each)) is not None]

    def _decode(self, packet: Packet) -> list[_Decoded]:
        if self._decoder is None or self._decoder.codec is not packet.codec:
            self._decoder = _Decoder(packet.codec)
        if self._wish.keyframes_only and not packet.keyframe:
            return []
        decoded = self._decoder.decode(packet, alone=self._wish.keyframes_only)
        # The GOP so far is only there for the decoder.
        return [each for each in decoded if not each.packet.past]

    def _is_due(self, each: _Decoded) -> bool:
        self._gap = self._gap or each.gap
        fps, max_age_ms = self._wish.max_fps, self._wish.max_age_ms
        slot = int(each.packet.time * fps + 0.25)
        if (fps and slot == self._slot) or (max_age_ms and (time.time() - each.packet.time) * 1000 > max_age_ms):
            self._skipped += 1
            return False
        self._slot = slot
        return True

    def _render(self, each: _Decoded) -> tuple[Any, memoryview] | None:
        if self._renderer is None or not self._renderer.fits(each.picture):
            self._renderer = _Renderer(self._wish.rendition, each.picture)
        rendered = self._renderer.render(each.picture)
        if rendered is None:
            return None
        header, data = rendered
        packet = each.packet
        header.camera, header.id, header.stream = self._wish.cameras[0], packet.id, self._wish.stream or pb.STREAMS["main"]
        header.capture_time_ms = round(packet.time * 1000)
        header.age_ms = max(0, round((time.time() - packet.time) * 1000))
        header.keyframe, header.corrupt = packet.keyframe, packet.corrupt or each.picture.is_corrupt
        header.skipped, header.gap = self._skipped, self._gap
        self._skipped, self._gap = 0, False
        return header, data


class _Decoder:
    def __init__(self, codec: Codec) -> None:
        import av

        self.codec = codec
        self._av = av
        self._held: dict[int, tuple[Packet, bool]] = {}
        self._context: Any = av.CodecContext.create(codec.name, "r")
        self._context.extradata = codec.extradata or None
        # Threads that decode frames side by side would hold frames back.
        self._context.thread_count = 1
        if codec.reorder == 0:
            self._context.flags |= 1 << 19  # AV_CODEC_FLAG_LOW_DELAY

    def decode(self, packet: Packet, *, alone: bool) -> list[_Decoded]:
        encoded = self._av.Packet(packet.data)
        encoded.pts, encoded.dts, encoded.time_base = packet.pts, packet.dts, Fraction(*self.codec.time_base)
        self._held[packet.pts] = (packet, packet.gap)
        while len(self._held) > _HELD_MAX:
            del self._held[next(iter(self._held))]
        try:
            pictures = list(self._context.decode(encoded))
            if alone:  # nothing that follows would push it out
                pictures += self._context.decode(None)
                self._context.flush_buffers()
        except self._av.error.FFmpegError as error:
            log.info("a packet could not be decoded: %s", error)
            return []
        found = ((picture, self._held.pop(picture.pts, None)) for picture in pictures)
        return [_Decoded(held[0], picture, held[1]) for picture, held in found if held is not None]


class _Renderer:
    """The filters of a rendition, for frames of one size and format."""

    def __init__(self, wanted: Any, picture: Any) -> None:
        self._wanted = wanted
        self._form = self._form_of(picture)
        self._plan: Plan | None = plan(wanted, picture.width, picture.height)
        self._graph = None if self._plan is None else self._build(self._plan, picture)
        self._encoder: Any = None

    @staticmethod
    def _form_of(picture: Any) -> tuple[object, ...]:
        return picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range

    def fits(self, picture: Any) -> bool:
        return self._form == self._form_of(picture)

    def _build(self, made: Plan, picture: Any) -> Any:
        import av.filter

        graph = av.filter.Graph()
        graph.threads = 1
        last = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base or Fraction(1, 90_000)
        )
        for name, args in [*made.filters, ("buffersink", "")]:
            node = graph.add(name, args) if args else graph.add(name)
            last.link_to(node)
            last = node
        graph.configure()
        return graph

    def render(self, picture: Any) -> tuple[Any, memoryview] | None:
        """None: the region lies outside of the frame."""
        if self._graph is None or self._plan is None:
            return None
        self._graph.push(picture)
        made = self._graph.pull()
        header = pb.Frame(width=made.width, height=made.height, format=self._wanted.format, geometry=self._plan.geometry)
        name = pb.FORMAT_NAMES[self._wanted.format]
        if name == "jpeg":
            return header, memoryview(self._jpeg(made))
        if name in ("i420", "nv12"):
            planes = [_rows(plane, 1 if name == "i420" else 2 - (index == 0)) for index, plane in enumerate(made.planes)]
            return header, memoryview(np.concatenate([plane.reshape(-1) for plane in planes])).toreadonly()
        plane = made.planes[0]
        header.strides.append(plane.line_size)
        return header, memoryview(plane).cast("B").toreadonly()

    def _jpeg(self, picture: Any) -> bytes:
        if self._encoder is None:
            import av

            encoder: Any = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = picture.width, picture.height, "yuvj420p", Fraction(1, 25)
            quality = self._wanted.jpeg_quality or 85
            encoder.flags |= 1 << 1  # AV_CODEC_FLAG_QSCALE
            encoder.options = {"global_quality": str(round(31 - 29 * (quality - 1) / 99) * _QP_TO_LAMBDA)}
            self._encoder = encoder
        picture.pts = None
        return b"".join(bytes(packet) for packet in self._encoder.encode(picture))


def _rows(plane: Any, channels: int) -> Any:
    """A plane without the padding behind its rows."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * channels]


