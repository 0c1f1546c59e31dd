"""The gateway as a program names it: address, token, certificate. Channels are made of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from . import _messages as pb
from ._errors import BadOption, EdgeError

log = logging.getLogger("chrysalis_edge")

# Projected for the gateway alone, as docs/access.md shows; else the pod's own.
TOKEN_FILES = ("/var/run/secrets/chrysalis-edge/token", "/var/run/secrets/kubernetes.io/serviceaccount/token")
IN_CLUSTER = "chrysalis-edge.chrysalis-edge.svc:50001"
LOCAL = "127.0.0.1:50001"

OPTIONS = [
    ("grpc.max_receive_message_length", 256 << 20),
    # A gateway that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A node that lost its power sends no end of the connection.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
]


FORKED = "gRPC does not survive a fork: make the Edge in the child process only, or start that by multiprocessing's 'spawn'"
#: The processes in which gRPC has run: this one, or one that forked it.
_ran_in: set[int] = set()


class Method(NamedTuple):
    path: str
    #: How a channel calls it, such as "stream_stream".
    kind: str
    request: Any
    #: None: the answer is left as bytes, see _wire.py.
    answer: Any


_FRAMES, _IMAGE = f"/{pb.FRAMES}.FramesService", f"/{pb.IMAGE}.Image"
METHODS = {
    "watch": Method(f"{_FRAMES}/Watch", "stream_stream", pb.WatchRequest, None),
    "replay": Method(f"{_FRAMES}/Replay", "unary_stream", pb.ReplayRequest, None),
    "snapshot": Method(f"{_FRAMES}/Snapshot", "unary_unary", pb.SnapshotRequest, None),
    "packets": Method(f"{_FRAMES}/Packets", "unary_stream", pb.PacketsRequest, pb.PacketsResponse),
    "cameras": Method(f"{_FRAMES}/Cameras", "unary_stream", pb.CamerasRequest, pb.CamerasResponse),
    "annotate": Method(f"{_IMAGE}/Annotate", "unary_unary", pb.AnnotateRequest, pb.AnnotateResponse),
}


class Target:
    """Where the gateway is, and as whom it is called."""

    def __init__(self, address: str | None, token: str | None, ca: str | os.PathLike[str] | None) -> None:
        if _ran_in - {os.getpid()}:
            raise EdgeError(FORKED)
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
        address = address or os.environ.get("CHRYSALIS_ADDRESS") or (IN_CLUSTER if in_pod else LOCAL)
        ca = ca or os.environ.get("CHRYSALIS_CA") or None
        scheme, _, rest = address.rpartition("://")
        if scheme not in ("", "http", "https") or not rest:
            raise BadOption(f"address must be HOST:PORT, or https://HOST:PORT for TLS, not {address!r}")
        self.address = rest.rstrip("/")
        self._is_tls = scheme == "https" or ca is not None
        try:
            self._roots = None if ca is None else Path(ca).read_bytes()
        except OSError as error:
            raise BadOption(f"ca must be a file with the authority's certificate: {error}") from None
        self._token = token or os.environ.get("CHRYSALIS_TOKEN")
        self._pid = os.getpid()

    def channel(self, grpc_or_aio: Any) -> Any:
        _ran_in.add(os.getpid())
        if self._is_tls:
            return grpc_or_aio.secure_channel(self.address, grpc.ssl_channel_credentials(self._roots), OPTIONS)
        return grpc_or_aio.insecure_channel(self.address, OPTIONS)

    def callables(self, channel: Any) -> dict[str, Any]:
        """What calls each method, by its name."""
        return {
            name: getattr(channel, kind)(path, request.SerializeToString, None if answer is None else answer.FromString)
            for name, (path, kind, request, answer) in METHODS.items()
        }

    def metadata(self) -> list[tuple[str, str]]:
        """For a call that begins now. The token's file is read each time, as it is renewed."""
        if os.getpid() != self._pid:
            raise EdgeError(FORKED)
        token = self._token or self._token_in_file()
        return [] if token is None else [("authorization", f"Bearer {token}")]

    def _token_in_file(self) -> str | None:
        named = os.environ.get("CHRYSALIS_TOKEN_FILE")
        if named:
            try:
                return Path(named).read_text().strip()
            except OSError as error:
                raise BadOption(f"CHRYSALIS_TOKEN_FILE must name a file with a token: {error}") from None
        # Without TLS the pod's token is not sent unasked: others could read it.
        if not self._is_tls:
            return None
        for path in TOKEN_FILES:
            try:
                return Path(path).read_text().strip()
            except OSError:
                continue
        return None
