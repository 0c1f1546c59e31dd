"""The messages of the gRPC services, made at import from their descriptors, so that any protobuf from 4.25 on will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FRAMES = "chrys.cloud.frames.v1"
IMAGE = "chrys.cloud.videostreaming.v1beta1"

# A pool of its own: a program may also have code generated from the same protos.
_pool = descriptor_pool.DescriptorPool()
_set = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("services.binpb").read_bytes())
for _file in _set.file:
    _pool.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


def _enum(name: str, prefix: str) -> dict[str, int]:
    values = _pool.FindEnumTypeByName(f"{FRAMES}.{name}").values
    return {value.name.removeprefix(prefix).lower(): value.number for value in values}


Rendition = _message(f"{FRAMES}.Rendition")
Region = _message(f"{FRAMES}.Region")
Wish = _message(f"{FRAMES}.Wish")
WatchRequest = _message(f"{FRAMES}.WatchRequest")
WatchResponse = _message(f"{FRAMES}.WatchResponse")
ReplayRequest = _message(f"{FRAMES}.ReplayRequest")
ReplayResponse = _message(f"{FRAMES}.ReplayResponse")
SnapshotRequest = _message(f"{FRAMES}.SnapshotRequest")
SnapshotResponse = _message(f"{FRAMES}.SnapshotResponse")
PacketsRequest = _message(f"{FRAMES}.PacketsRequest")
PacketsResponse = _message(f"{FRAMES}.PacketsResponse")
CamerasRequest = _message(f"{FRAMES}.CamerasRequest")
CamerasResponse = _message(f"{FRAMES}.CamerasResponse")
Frame = _message(f"{FRAMES}.Frame")
Geometry = _message(f"{FRAMES}.Geometry")
AnnotateRequest = _message(f"{IMAGE}.AnnotateRequest")
AnnotateResponse = _message(f"{IMAGE}.AnnotateResponse")

FITS = {name: number for name, number in _enum("Fit", "FIT_").items() if number}
# bgr24 is "bgr" here, rgb24 "rgb" and gray8 "gray".
FORMATS = {name.rstrip("248") if name != "nv12" else name: number for name, number in _enum("PixelFormat", "PIXEL_FORMAT_").items() if number}
FORMAT_NAMES = {number: name for name, number in FORMATS.items()}
STREAMS = {name: number for name, number in _enum("Stream", "STREAM_").items() if number}
STREAM_NAMES = {number: name for name, number in STREAMS.items()}
MODES = _enum("Mode", "MODE_")
STATES = {number: name for name, number in ((v.name.removeprefix("STATE_").lower(), v.number) for v in _pool.FindEnumTypeByName(f"{FRAMES}.CameraStatus.State").values)}
SEVERITIES = {number: name.replace("_", "-") for name, number in _enum("Severity", "SEVERITY_").items()}
PACKAGINGS = {v.number: v.name.removeprefix("PACKAGING_").lower() for v in _pool.FindEnumTypeByName(f"{FRAMES}.Codec.Packaging").values}
