"""A TCP proxy between two nodes that does what networks do.

Each direction of each connection has a policy, which may change at any time: delay, a rate, a
stall (bytes are taken and kept back). A connection can be cut, also in the middle of a message;
what is kept back is lost then, as with a network that fails. The bytes of a past connection can be
played once more on a fresh one, which is what duplication looks like to whoever speaks TCP.
"""

import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import List, Optional, Tuple

CHUNK = 16 * 1024
# Of each connection so much is remembered, to be played again.
RECORDED_MAX = 256 * 1024
RECORDINGS_MAX = 16
TICK_SECONDS = 0.02


@dataclass
class Policy:
    """Of one direction."""
    delay: float = 0.0
    jitter: float = 0.0
    bytes_per_second: float = 0.0  # 0: no limit
    stalled: bool = False


class Pipe(threading.Thread):
    """Moves the bytes of one direction of one connection."""

    def __init__(self, proxy: "ChaosProxy", source: socket.socket, target: socket.socket,
                 policy: Policy, recording: Optional[bytearray]) -> None:
        super().__init__(daemon=True)
        self.proxy, self.source, self.target = proxy, source, target
        self.policy, self.recording = policy, recording
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                piece = self.source.recv(CHUNK)
                if not piece:
                    break
                self.move(piece)
        except OSError:
            pass
        self.cut()

    def move(self, piece: bytes) -> None:
        if self.recording is not None and len(self.recording) < RECORDED_MAX:
            self.recording += piece
        wait = self.policy.delay + self.proxy.random.random() * self.policy.jitter
        if self.policy.bytes_per_second:
            wait += len(piece) / self.policy.bytes_per_second
        if wait:
            self.ended.wait(wait)
        while self.policy.stalled and not self.ended.is_set():
            self.ended.wait(TICK_SECONDS)
        if self.ended.is_set():
            return
        if self.proxy.cuts_in_the_middle > self.proxy.random.random() and len(piece) > 1:
            self.proxy.cuts += 1
            self.target.sendall(piece[:self.proxy.random.randrange(1, len(piece))])
            self.cut()
            return
        self.target.sendall(piece)

    def cut(self) -> None:
        self.ended.set()
        for one in (self.source, self.target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class ChaosProxy:
    """Listens on `port` and connects to `target_port`; `ahead` and `back` are its policies."""

    def __init__(self, port: int, target_port: int, seed: int = 1) -> None:
        self.port, self.target_port = port, target_port
        self.random = random.Random(seed)
        self.ahead, self.back = Policy(), Policy()
        self.cuts_in_the_middle = 0.0  # the probability, for each piece
        self.refusing = False
        self.cuts = 0
        self.replays = 0
        self._lock = threading.Lock()
        self._pipes: List[Pipe] = []
        self._pairs: List[Tuple[socket.socket, socket.socket]] = []
        self._recordings: List[bytearray] = []
        self._closed = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(64)
        self._listener.settimeout(0.1)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except socket.timeout:
                continue
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                client.close()
                continue
            client.settimeout(None)
            server.settimeout(None)
            recording = bytearray()
            pipes = [Pipe(self, client, server, self.ahead, recording),
                     Pipe(self, server, client, self.back, None)]
            with self._lock:
                self._recordings = (self._recordings + [recording])[-RECORDINGS_MAX:]
                self._pipes = [p for p in self._pipes if p.is_alive()] + pipes
                self._pairs.append((client, server))
            for pipe in pipes:
                pipe.start()

    def cut(self) -> None:
        """All connections, at once."""
        with self._lock:
            pipes = list(self._pipes)
        for pipe in pipes:
            pipe.cut()
        self.cuts += 1

    def replay(self) -> None:
        """Plays what a past connection brought on a fresh one, to its end or to somewhere in it."""
        with self._lock:
            recordings = [bytes(one) for one in self._recordings if one]
        if not recordings:
            return
        raw = self.random.choice(recordings)
        raw = raw[:self.random.randrange(len(raw)) + 1]
        try:
            with socket.create_connection(("127.0.0.1", self.target_port), timeout=5) as fresh:
                fresh.sendall(raw)
                fresh.settimeout(0.2)
                fresh.recv(CHUNK)
        except OSError:
            pass
        self.replays += 1

    def heal(self) -> None:
        self.cuts_in_the_middle = 0.0
        self.refusing = False
        for policy in (self.ahead, self.back):
            policy.delay = policy.jitter = policy.bytes_per_second = 0.0
            policy.stalled = False

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        self._thread.join(10)  # No connection comes after that, and all pipes have begun.
        self.heal()
        self.cut()
        deadline = time.monotonic() + 10
        for pipe in self._pipes:
            pipe.join(max(0.0, deadline - time.monotonic()))
        for pair in self._pairs:
            for one in pair:
                one.close()
