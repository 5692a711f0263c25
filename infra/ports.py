"""Who listens where on this machine."""

import socket

import psutil


def port_holder(port: int) -> str | None:
    """Return who listens on a TCP port of 127.0.0.1, None if nobody does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            pass
        else:
            return None
    try:
        for found in psutil.net_connections("tcp"):
            listens = found.status == psutil.CONN_LISTEN
            if listens and getattr(found.laddr, "port", None) == port and found.pid:
                command = " ".join(psutil.Process(found.pid).cmdline())
                return f"process {found.pid} ({command[:80]})"
    except psutil.Error:
        pass  # another user's process: its name is not ours to see
    return "another user's process"
