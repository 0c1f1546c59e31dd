"""The connection to the gateway: address, token, calls, and the pauses between tries."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc

from . import _messages as pb
from ._errors import BadOption, EdgeError, NoFrame, error_of, passes

log = logging.getLogger("chrysalis_edge")

T = TypeVar("T")

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


class Connection:
    def __init__(self, address: str | None, token: str | None, ca: str | os.PathLike[str] | None) -> None:
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
        address = address or os.environ.get("CHRYSALIS_ADDRESS") or (IN_CLUSTER if in_pod else LOCAL)
        ca = ca or os.environ.get("CHRYSALIS_CA") or None
        scheme, _, rest = address.rpartition("://")
        if scheme not in ("", "http", "https") or not rest:
            raise BadOption(f"address must be HOST:PORT, or https://HOST:PORT for TLS, not {address!r}")
        self.address = rest.rstrip("/")
        self.closed = threading.Event()
        self._is_tls = scheme == "https" or ca is not None
        self._token = token or os.environ.get("CHRYSALIS_TOKEN")
        self._pid = os.getpid()
        if self._is_tls:
            roots = None if ca is None else Path(ca).read_bytes()
            self._channel = grpc.secure_channel(self.address, grpc.ssl_channel_credentials(roots), OPTIONS)
        else:
            self._channel = grpc.insecure_channel(self.address, OPTIONS)
        frames, image = f"/{pb.FRAMES}.FramesService", f"/{pb.IMAGE}.Image"
        channel = self._channel
        # Answers with frames are left as bytes: see _wire.py.
        self.watch = channel.stream_stream(f"{frames}/Watch", pb.WatchRequest.SerializeToString)
        self.replay = channel.unary_stream(f"{frames}/Replay", pb.ReplayRequest.SerializeToString)
        self.snapshot = channel.unary_unary(f"{frames}/Snapshot", pb.SnapshotRequest.SerializeToString)
        self.packets = channel.unary_stream(f"{frames}/Packets", pb.PacketsRequest.SerializeToString, pb.PacketsResponse.FromString)
        self.cameras = channel.unary_stream(f"{frames}/Cameras", pb.CamerasRequest.SerializeToString, pb.CamerasResponse.FromString)
        self.annotate = channel.unary_unary(f"{image}/Annotate", pb.AnnotateRequest.SerializeToString, pb.AnnotateResponse.FromString)

    def metadata(self) -> list[tuple[str, str]]:
        """For a call that begins now. The token's file is read each time, as it is renewed."""
        if os.getpid() != self._pid:
            raise EdgeError("an Edge can't be used after fork: make another one in the child process")
        token = self._token or self._token_in_file()
        return [] if token is None else [("authorization", f"Bearer {token}")]

    def _token_in_file(self) -> str | None:
        named = os.environ.get("CHRYSALIS_TOKEN_FILE")
        if named:
            return Path(named).read_text().strip()
        # Without TLS the pod's token is not sent unasked: others could read it.
        if not self._is_tls:
            return None
        for path in TOKEN_FILES:
            try:
                return Path(path).read_text().strip()
            except OSError:
                continue
        return None

    def unary(self, call: Callable[[float], T], timeout: float) -> T:
        """Tries until the call succeeds, fails for good, or the timeout is over."""
        end = time.monotonic() + timeout
        tries = Tries(self)
        while True:
            left = max(0.001, end - time.monotonic())
            try:
                return call(left)
            except grpc.RpcError as error:
                known = error_of(error)
                if not passes(error, False) or isinstance(known, NoFrame) or not tries.pause(error, end):
                    raise known from None

    def close(self) -> None:
        self.closed.set()
        self._channel.close()


class Tries:
    """Pauses between tries, longer each time, and says in the log why it tries again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self._said = ""

    def worked(self) -> None:
        self._count = 0
        self._said = ""

    def pause(self, error: Any, end: float = float("inf")) -> bool:
        """False: there is no time left to try again, or the Edge was closed."""
        why = "the call ended" if error is None else f"{error.code().name}: {error.details()}"
        seconds = min(1.0, 0.1 * 2**self._count) * random.uniform(0.8, 1.2)
        self._count = min(self._count + 1, 10)
        if self._connection.closed.is_set() or time.monotonic() + seconds > end:
            return False
        if why != self._said:
            log.warning("%s: %s; trying again", self._connection.address, why)
        self._said = why
        return not self._connection.closed.wait(seconds)
