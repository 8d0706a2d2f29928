"""A socket that accepts connections from this machine, for a server that is handed it open."""

from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socket

HOST = "127.0.0.1"


def loopback_listener(port: int = 0) -> socket:
    """Listen on a port, by default a free one; answers are sent without delay.

    A connection has the option of its listener. Without it, and asyncio sets it for sockets that
    it opened itself alone, the body of an answer waits some 40 ms until its headers are
    acknowledged (Nagle's algorithm, RFC 896).

    Raises:
        OSError: the port cannot be used.
    """
    listener = create_server((HOST, port))
    listener.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return listener
