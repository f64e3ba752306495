"""Connections in memory: what is written to one end arrives at the protocol of the other."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any, Final

from common import randomness
from common.http.addresses import Address

END: Final = b""
"""Sent by an end that writes no more."""
RESET: Final = None
"""Sent by an end that is gone."""
PIECE: Final = 64 * 1024
"""The most bytes that arrive at once."""
HIGH, LOW = 64 * 1024, 16 * 1024
"""Bytes under way at which an end is asked to pause writing, and may resume it."""


class Line:
    """What all connections to one server have in common: how long a byte takes, and whether any arrives at all."""

    def __init__(self, latency: float, spread: float) -> None:
        self.latency = latency
        self._spread = math.log(spread)
        self.open = asyncio.Event()
        """Set unless the line is silent: then what is sent waits, as TCP sends again what is not acknowledged."""
        self.open.set()
        self.ends: dict[End, None] = {}
        """The ends that are connected, or whose last words are under way; a dictionary, because it keeps the order."""

    def under_way(self) -> float:
        """Return the seconds that something sent now is under way: from the latency to `spread` times as many."""
        return self.latency * math.exp(randomness.uniform(0, self._spread))

    def connect(
        self,
        client: asyncio.BaseProtocol,
        server: asyncio.BaseProtocol,
        origin: Address,
        address: Address,
        *,
        contexts: tuple[Context, Context],
        listener: Callable[[bytes], None],
    ) -> "End":
        """Connect a client, which seems to be at `origin`, and return its end; `listener` gets what it writes.

        `contexts` are those in which client and server are told what happens.
        """
        ours, theirs = (origin.host, origin.port), (address.host, address.port)
        here = End(self, client, contexts[0], listener=listener, sockname=ours, peername=theirs)
        there = End(self, server, contexts[1], sockname=theirs, peername=ours)
        here.peer, there.peer = there, here
        self.ends |= {here: None, there: None}
        asyncio.get_running_loop().call_soon(server.connection_made, there, context=there.context)
        client.connection_made(here)
        return here

    def resume(self) -> None:
        """Deliver what has waited."""
        self.open.set()
        for end in list(self.ends):
            end.deliver_next()

    def cut(self) -> None:
        """Break all connections, at both ends."""
        for end in list(self.ends):
            end.lose(ConnectionResetError("the connection was cut"))


class End(asyncio.Transport):
    """One end of a connection. Pieces that were written arrive in their order, each after the latency of the line.

    Its protocol is called in its own `context`: what a server does upon a request is not done by the client.
    """

    peer: "End"

    def __init__(
        self,
        line: Line,
        protocol: asyncio.BaseProtocol,
        context: Context,
        *,
        listener: Callable[[bytes], None] | None = None,
        **extra_info: object,
    ) -> None:
        super().__init__(extra_info)
        self.context = context
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._protocol: Any = protocol
        self._under_way: deque[tuple[float, bytes | None]] = deque()
        """What the peer has not received yet, with the time at which each piece arrives."""
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self._reading = True
        self._limits = (LOW, HIGH)
        self._paused = False

    # Sending

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._lost:
            data = bytes(data)
            if self._listener is not None:
                self._listener(data)
            for start in range(0, len(data), PIECE):
                self._send(data[start : start + PIECE])
            self._adjust_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._lost:
            self._send(END)

    def get_write_buffer_size(self) -> int:
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        high = high if high is not None else 4 * low if low is not None else HIGH
        self._limits = (low if low is not None else high // 4, high)
        self._adjust_writing()

    def _adjust_writing(self) -> None:
        low, high = self._limits
        if not self._paused and self._size > high:
            self._paused = True
            self._protocol.pause_writing()
        elif self._paused and self._size <= low:
            self._paused = False
            self._protocol.resume_writing()

    def _send(self, piece: bytes | None) -> None:
        self._under_way.append((self._loop.time() + self._line.under_way(), piece))
        self._size += len(piece or b"")
        self.deliver_next()

    def deliver_next(self) -> None:
        """Deliver the next piece as soon as it has arrived, if the line is open and the peer reads."""
        if self._timer is None and self._under_way and self._line.open.is_set() and self.peer.is_reading():
            self._timer = self._loop.call_at(self._under_way[0][0], self._deliver, context=self.peer.context)

    def _deliver(self) -> None:
        self._timer = None
        if self._line.open.is_set() and self.peer.is_reading():
            _, piece = self._under_way.popleft()
            self._size -= len(piece or b"")
            self.peer.receive(piece)
            if self._lost:
                self._leave()
            else:
                self._adjust_writing()
        self.deliver_next()

    # Receiving

    def receive(self, piece: bytes | None) -> None:
        """Hand a piece from the peer to the protocol."""
        if piece is RESET:
            self.lose(ConnectionResetError("the other end is gone"))
        elif self._lost:
            if piece != END:  # it does not know yet that no one reads this
                self.peer.lose(ConnectionResetError("the other end is closed"))
        elif piece != END:
            self._protocol.data_received(piece)
        elif not self._protocol.eof_received():
            self.close()

    def is_reading(self) -> bool:
        return self._reading or self._lost

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self.peer.deliver_next()

    # Ending

    def is_closing(self) -> bool:
        return self._lost

    def close(self) -> None:
        """Write no more. What was written still arrives."""
        if not self._lost:
            self._send(END)
            self._end(None)

    def abort(self) -> None:
        """Be gone: nothing that is under way arrives any more."""
        if not self._lost:
            self._drop()
            self._send(RESET)
            self._end(None)

    def lose(self, error: ConnectionResetError) -> None:
        """Learn that the connection is broken."""
        self._drop()
        self._end(error)

    def _drop(self) -> None:
        """Let nothing arrive of what is under way."""
        self._under_way.clear()
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, error: ConnectionResetError | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, error, context=self.context)
        self._leave()

    def _leave(self) -> None:
        if not self._under_way:
            self._line.ends.pop(self, None)

    # The protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
