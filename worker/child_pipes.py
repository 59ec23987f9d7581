"""A pipe of whole messages between a pool and its children.

Billiard's own pipe is a stream: a child that is killed between reading the head and the body of a message, or in the
middle of writing a long one, leaves it out of step for all others, for ever. Packets are read and written whole or not
at all (unix(7), SOCK_SEQPACKET). A message that no packet can hold, about 200 kB, is an error: the stages' names and
short answers are all that goes through here.
"""

import os
import socket
import sys
from io import BytesIO

from billiard.connection import Connection, Pipe

LONGEST_PACKET_BYTES = 2**20
"""More than the kernel takes into one (net.core.wmem_max)."""


class PacketConnection(Connection):  # type: ignore[misc]  # billiard is untyped
    """One end of it."""

    def _send_bytes(self, message: bytes) -> None:
        os.write(self._handle, message)

    def _recv_bytes(self, _most: int | None = None) -> BytesIO:
        packet = os.read(self._handle, LONGEST_PACKET_BYTES)
        if not packet:
            raise EOFError
        message = BytesIO()
        message.write(packet)
        return message


def packet_pipe() -> tuple[Connection, Connection]:
    """The end to read from and the end to write to; where there are no such packets (macOS), a stream."""
    if sys.platform != "linux":
        reader, writer = Pipe(duplex=False)
        return reader, writer
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = (end.detach() for end in ends)
    return PacketConnection(reader, writable=False), PacketConnection(writer, readable=False)
