"""How calls wait. All that the client does is written once, as coroutines over an Io. Edge's Io blocks, so its coroutines never suspend and
`run` and `iterate` get their results at once; AsyncEdge's Io awaits."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from ._connection import Target
from ._errors import EdgeError

T = TypeVar("T")
Metadata = list[tuple[str, str]]

#: What `take` gives when its time is over, and when there is nothing more.
LATE: Any = object()
END: Any = object()


class Call(Protocol):
    """A running call of the gateway."""

    async def read(self) -> Any:
        """The next answer; None: the call has ended."""

    async def send(self, request: Any) -> None: ...

    def cancel(self) -> None: ...


class Stop:
    """Ends the call that a loop is waiting for, from another thread."""

    def __init__(self) -> None:
        self.is_set = False
        self._call: Call | None = None

    def cancels(self, call: Call) -> None:
        self._call = call
        if self.is_set:
            call.cancel()

    def set(self) -> None:
        self.is_set = True
        if self._call is not None:
            self._call.cancel()


class Taker(Protocol):
    """Items of a loop that runs on its own, so that one can wait for the next with a limit."""

    async def take(self, timeout: float | None) -> Any: ...

    async def close(self) -> None: ...


class Io(Protocol):
    target: Target

    @property
    def closed(self) -> bool: ...

    async def open(self, method: str, request: Any, timeout: float | None = None) -> Call: ...

    async def unary(self, method: str, request: Any, timeout: float, more: Metadata) -> Any: ...

    async def pause(self, seconds: float) -> None:
        """Ends early when the Edge is closed."""

    async def compute(self, work: Callable[[], T]) -> T: ...

    def taker(self, items: AsyncGenerator[Any, None], stop: Stop, room: int) -> Taker: ...


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise AssertionError("a coroutine of Edge has suspended")


def iterate(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of an asynchronous generator that never suspends."""
    try:
        while True:
            try:
                item = run(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(items.aclose())


class BlockingIo:
    """Of Edge. A call may be made in any thread."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._closed = threading.Event()
        self._channel = target.channel(grpc)
        self._methods = target.callables(self._channel)

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def open(self, method: str, request: Any, timeout: float | None = None) -> Call:
        return _BlockingCall(self._methods[method], method == "watch", request, timeout, self.target.metadata())

    async def unary(self, method: str, request: Any, timeout: float, more: Metadata) -> Any:
        return self._methods[method](request, timeout=timeout, metadata=self.target.metadata() + more)

    async def pause(self, seconds: float) -> None:
        self._closed.wait(seconds)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    def taker(self, items: AsyncGenerator[Any, None], stop: Stop, room: int) -> Taker:
        return _ThreadTaker(items, stop, room)

    def close(self) -> None:
        self._closed.set()
        self._channel.close()


class _BlockingCall:
    def __init__(self, method: Any, takes_stream: bool, request: Any, timeout: float | None, metadata: Metadata) -> None:
        self._requests: queue.SimpleQueue[Any] | None = None
        if takes_stream:
            self._requests = queue.SimpleQueue()
            self._requests.put(request)
            request = iter(self._requests.get, None)
        self._call = method(request, timeout=timeout, metadata=metadata)

    async def read(self) -> Any:
        return next(self._call, None)

    async def send(self, request: Any) -> None:
        if self._requests is not None:
            self._requests.put(request)

    def cancel(self) -> None:
        self._call.cancel()
        if self._requests is not None:
            self._requests.put(None)  # the thread in which gRPC reads them ends


class _ThreadTaker:
    def __init__(self, items: AsyncGenerator[Any, None], stop: Stop, room: int) -> None:
        self._items = items
        self._stop = stop
        self._room = threading.Semaphore(room)
        self._taken: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True, name="chrysalis-edge-reader")
        self._thread.start()

    def _read(self) -> None:
        last: Any = END
        try:
            for item in iterate(self._items):
                self._taken.put(item)
                self._room.acquire()
                if self._stop.is_set:
                    break
        except BaseException as error:
            last = error
        self._taken.put(last)

    async def take(self, timeout: float | None) -> Any:
        try:
            item = self._taken.get(timeout=timeout)
        except queue.Empty:
            return LATE
        if isinstance(item, BaseException):
            raise item
        self._room.release()
        return item

    async def close(self) -> None:
        self._stop.set()
        self._room.release()
        self._thread.join(5)


class AsyncIo:
    """Of AsyncEdge. The channel belongs to the event loop in which it is first used."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._end = asyncio.Event()
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    @property
    def closed(self) -> bool:
        return self._end.is_set()

    def _method(self, name: str) -> Any:
        if self.closed:
            raise EdgeError("this AsyncEdge was closed")
        if self._channel is None:
            self._channel = self.target.channel(grpc.aio)
            self._methods = self.target.callables(self._channel)
        return self._methods[name]

    async def open(self, method: str, request: Any, timeout: float | None = None) -> Call:
        call, metadata = self._method(method), self.target.metadata()
        if method != "watch":
            return _AsyncCall(self, call(request, timeout=timeout, metadata=metadata))
        opened = _AsyncCall(self, call(timeout=timeout, metadata=metadata))
        await opened.send(request)
        return opened

    async def unary(self, method: str, request: Any, timeout: float, more: Metadata) -> Any:
        return await self._method(method)(request, timeout=timeout, metadata=self.target.metadata() + more)

    async def pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._end.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def compute(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    def taker(self, items: AsyncGenerator[Any, None], stop: Stop, room: int) -> Taker:
        return _TaskTaker(items, room)

    async def close(self) -> None:
        self._end.set()
        if self._channel is not None:
            await self._channel.close()


class _AsyncCall:
    def __init__(self, io: AsyncIo, call: Any) -> None:
        self._io = io
        self._call = call

    async def read(self) -> Any:
        try:
            answer = await self._call.read()
        except asyncio.CancelledError:
            if self._io.closed:
                return None
            raise
        return None if answer is grpc.aio.EOF else answer

    async def send(self, request: Any) -> None:
        try:
            await self._call.write(request)
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # the call has ended: `read` says why

    def cancel(self) -> None:
        self._call.cancel()


class _TaskTaker:
    def __init__(self, items: AsyncGenerator[Any, None], room: int) -> None:
        self._taken: asyncio.Queue[Any] = asyncio.Queue(room)
        self._task = asyncio.ensure_future(self._read(items))

    async def _read(self, items: AsyncGenerator[Any, None]) -> None:
        try:
            async for item in items:
                await self._taken.put(item)
            await self._taken.put(END)
        except Exception as error:
            await self._taken.put(error)
        finally:
            await items.aclose()

    async def take(self, timeout: float | None) -> Any:
        if timeout is not None and timeout <= 0:
            item = LATE if self._taken.empty() else self._taken.get_nowait()
        else:
            try:
                item = await asyncio.wait_for(self._taken.get(), timeout)
            except asyncio.TimeoutError:
                return LATE
        if isinstance(item, BaseException):
            raise item
        return item

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
