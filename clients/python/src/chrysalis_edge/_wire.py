"""Reads an answer that carries a frame without copying its pixels: Python's protobuf copies each bytes field that is read."""

from __future__ import annotations

from typing import Any

from . import _messages as pb

# The tags of `frame` in an answer and of `data` in a Frame: field number and wire type 2.
_FRAME = 1 << 3 | 2
_DATA = 15 << 3 | 2


def split(raw: bytes) -> tuple[Any, memoryview] | None:
    """The Frame of an answer, without `data`, and `data` as a view of `raw`. None: the answer carries no frame."""
    if not raw or raw[0] != _FRAME:
        return None
    length, start = _varint(raw, 1)
    end = start + length
    if end != len(raw):
        raise ValueError("an answer with more than a frame")
    at = start
    while at < end:
        tag, after = _varint(raw, at)
        if tag == _DATA:
            size, data = _varint(raw, after)
            header = raw[start:at] + raw[data + size : end]
            return pb.Frame.FromString(header), memoryview(raw)[data : data + size]
        at = _skip(raw, tag & 7, after)
    return pb.Frame.FromString(raw[start:end]), memoryview(b"")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _skip(raw: bytes, wire_type: int, at: int) -> int:
    if wire_type == 0:
        return _varint(raw, at)[1]
    if wire_type == 1:
        return at + 8
    if wire_type == 2:
        length, start = _varint(raw, at)
        return start + length
    if wire_type == 5:
        return at + 4
    raise ValueError(f"wire type {wire_type}")
