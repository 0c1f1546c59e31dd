"""What goes wrong: one class for each kind of mistake. What passes by itself is tried again and not raised."""

from __future__ import annotations

from typing import Any

import grpc


class EdgeError(Exception):
    """Any error of Chrysalis Edge. The message says what to do."""


class NoSuchCamera(EdgeError):
    """No camera has this name, or the token may not see it. `edge.cameras()` lists those there are."""


class BadOption(EdgeError, ValueError):
    """An option has a value that is not possible. The message names it."""


class NotAuthenticated(EdgeError):
    """The gateway wants a token, or does not accept this one."""


class NotPermitted(EdgeError):
    """The token lacks a right. The message names verb, resource and namespace."""


class NotInBuffer(EdgeError):
    """The camera has no buffer, or its buffer does not reach back so far."""


class NotPossible(EdgeError):
    """The camera or the gateway is not set up for this."""


class LimitReached(EdgeError):
    """The gateway serves no more of these at once. The message names the limit."""


class NoFrame(EdgeError):
    """The camera gives no frame now. The message has the reason."""


class Unavailable(EdgeError):
    """The gateway did not answer within the timeout of the call."""


_CLASSES = {
    grpc.StatusCode.NOT_FOUND: NoSuchCamera,
    grpc.StatusCode.INVALID_ARGUMENT: BadOption,
    grpc.StatusCode.UNAUTHENTICATED: NotAuthenticated,
    grpc.StatusCode.PERMISSION_DENIED: NotPermitted,
    grpc.StatusCode.OUT_OF_RANGE: NotInBuffer,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossible,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitReached,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
}

_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}
# A call that worked ends with these for reasons that pass: a token that was renewed, a reader that was slow, a connection that broke.
_PASSING_ONCE_IT_WORKED = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
}


def passes(error: Any, worked: bool) -> bool:
    """Whether the same call may succeed later. `worked`: it has given something before."""
    return error.code() in _PASSING or (worked and error.code() in _PASSING_ONCE_IT_WORKED)


def error_of(error: Any) -> EdgeError:
    """The exception that a caller gets for gRPC's."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and "gives no frame" in details:
        return NoFrame(details)
    if code is grpc.StatusCode.FAILED_PRECONDITION and "buffer" in details:
        return NotInBuffer(details)
    return _CLASSES.get(code, EdgeError)(details or code.name)
