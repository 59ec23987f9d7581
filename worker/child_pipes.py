"""A pipe of whole messages between a pool and its children.

Billiard's own pipe is a stream: a child that is killed between reading the head and the body of a message, or in the
middle of writing a long one, leaves it out of step for all others, for ever. Packets are read and written whole or not
at all (unix(7), SOCK_SEQPACKET). The stages' names and short answers are all that goes through here. A job that no
packet can hold, 200 kB or more, counts as lost, and so does one with such an answer, which costs its child too.
"""

import errno
import os
import socket
import sys
from io import BytesIO

from billiard.connection import Connection, Pipe

BUFFER_BYTES = 2**18
"""Asked for, whatever net.core.wmem_default says. The kernel gives at most twice as much."""
LONGEST_PACKET_BYTES = 4 * BUFFER_BYTES
TOO_LONG = frozenset({errno.EMSGSIZE, errno.ENOBUFS})


class PacketConnection(Connection):  # type: ignore[misc]  # billiard is untyped
    """One end of it."""

    def _send_bytes(self, message: bytes) -> None:
        try:
            os.write(self._handle, message)
        except OSError as error:
            if error.errno not in TOO_LONG:
                raise
            # billiard takes an OSError for the end of the pipe, and writes no more
            raise ValueError(f"a message of {len(message)} bytes is too long for the pipe of the pool") from None

    def _recv_bytes(self, _most: int | None = None) -> BytesIO:
        packet = os.read(self._handle, LONGEST_PACKET_BYTES)
        if not packet:
            raise EOFError
        return BytesIO(packet)


def packet_pipe() -> tuple[Connection, Connection]:
    """The end to read from and the end to write to; where there are no such packets (macOS), a stream."""
    if sys.platform != "linux":
        reader, writer = Pipe(duplex=False)
        return reader, writer
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    reader, writer = (end.detach() for end in ends)
    return PacketConnection(reader, writable=False), PacketConnection(writer, readable=False)
