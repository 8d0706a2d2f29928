from socket import IPPROTO_TCP, TCP_NODELAY, create_connection

import pytest

from app.main import listener as demo_listener
from flows.runtime.listener import HOST, loopback_listener


@pytest.mark.parametrize("listen", [loopback_listener, demo_listener])
def test_connections_send_answers_at_once(listen):
    with listen(0) as listener, create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(IPPROTO_TCP, TCP_NODELAY)


def test_a_free_port_of_this_machine_is_taken():
    with loopback_listener() as listener:
        host, port = listener.getsockname()
    assert host == HOST
    assert port > 0
