# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's telemetry socket, by its protocol."""

import json
import socket
from pathlib import Path

from .deadline import PATIENCE, wait_until

ROOT = "/l2fwd_keepalive"


class Telemetry:
    """A client of a forwarder's telemetry socket; a context manager."""

    def __init__(self, forwarder, timeout=PATIENCE):
        path = Path(f"/run/dpdk/{forwarder.file_prefix or 'rte'}/dpdk_telemetry.v2")
        self._socket = wait_until(lambda: self._connect(path), f"{path}", timeout)
        self._socket.settimeout(timeout)
        self.greeting = json.loads(self._socket.recv(4096))

    @staticmethod
    def _connect(path):
        """A connection; None while there is no socket, or one whose backlog is full."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.setblocking(False)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            client.close()
            return None
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, request):
        """The reply to a request, a str or bytes, as it came."""
        self._socket.send(request if isinstance(request, bytes) else request.encode())
        return self._socket.recv(self.greeting["max_output_len"])

    def ask(self, command, parameter=None):
        """The answer to one of our commands, as "lcore", 1."""
        request = f"{ROOT}/{command}" + ("" if parameter is None else f",{parameter}")
        return json.loads(self.send(request))[f"{ROOT}/{command}"]

    def wait(self, command, predicate, what, parameter=None, timeout=PATIENCE):
        """The first answer that predicate(answer) accepts."""
        def look():
            answer = self.ask(command, parameter)
            return answer if predicate(answer) else None
        return wait_until(look, what, timeout)
