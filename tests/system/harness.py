"""Starts servers and talks to them: the common part of the system tests.

A test file is a unittest program that ctest runs with the path of the server
in SERVER_BINARY. Nothing here sleeps and hopes: whoever waits polls with a deadline.
"""

import http.client
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Iterable, List, Optional, Union

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SERVER_BINARY", ROOT / "build/release/jeton"))

START_SECONDS = 30
STOP_SECONDS = 30
REPLY_SECONDS = 30

# Below the ports that the kernel gives to outgoing connections, so that no
# client of a test that runs at the same time takes one between the look and
# the server's bind.
PORTS = range(20000, 32000)


class ReplyError(Exception):
    """An error reply of the server."""


class Push(list):
    """A RESP3 push message."""


def free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def eventually(look: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    """Returns the first true result of `look`, which is asked again until then."""
    deadline = time.monotonic() + seconds
    while True:
        result = look()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.01)


def raise_file_limit(wanted: int) -> int:
    """Allows this process and its children up to `wanted` open files; what is allowed in the end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


Word = Union[str, bytes, int, float]


def encode(*words: Word) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
    return b"".join(parts)


class Client:
    """One RESP connection. Bulk and simple strings come back as str (latin-1)."""

    def __init__(self, port: int, host: str = "127.0.0.1", resp: Optional[int] = None,
                 path: Optional[str] = None, receive_buffer: Optional[int] = None) -> None:
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.socket.settimeout(REPLY_SECONDS)
        try:
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(path or (host, port))
            if path is None:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise
        self._buffer = bytearray()
        self._at = 0
        if resp is not None:
            self.call("HELLO", resp)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *words: Word) -> None:
        self.socket.sendall(encode(*words))

    def send_raw(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def call(self, *words: Word) -> Any:
        self.send(*words)
        reply = self.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, requests: Iterable[tuple]) -> List[Any]:
        """All requests in one go, then all replies; errors are among them as values."""
        requests = list(requests)
        self.send_raw(b"".join(encode(*request) for request in requests))
        return [self.read() for _ in requests]

    def read(self) -> Any:
        """The next reply. EOFError if the server has closed the connection."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("latin-1")
        if kind == b"-":
            return ReplyError(rest.decode("latin-1"))
        if kind == b":":
            return int(rest)
        if kind in (b"$", b"=", b"!"):
            size = int(rest)
            if size < 0:
                return None
            text = self._take(size + 2)[:-2].decode("latin-1")
            if kind == b"=":
                return text[4:]
            return ReplyError(text) if kind == b"!" else text
        if kind in (b"*", b"~", b">"):
            size = int(rest)
            if size < 0:
                return None
            items = [self.read() for _ in range(size)]
            return Push(items) if kind == b">" else items
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind == b"(":
            return int(rest)
        raise AssertionError(f"not RESP: {line!r}")

    def read_all(self) -> bytes:
        """What the server still sends until it closes the connection."""
        rest = bytes(self._buffer[self._at:])
        self._buffer.clear()
        self._at = 0
        pieces = [rest]
        while True:
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def _fill(self) -> None:
        if self._at > 1 << 16:
            del self._buffer[:self._at]
            self._at = 0
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise EOFError("the server closed the connection")
        self._buffer += piece

    def _line(self) -> bytes:
        while True:
            end = self._buffer.find(b"\r\n", self._at)
            if end >= 0:
                line = bytes(self._buffer[self._at:end])
                self._at = end + 2
                return line
            self._fill()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._fill()
        piece = bytes(self._buffer[self._at:self._at + size])
        self._at += size
        return piece


class Server:
    """One `jeton serve` with its own ports and its own folder below `folder`."""

    def __init__(self, folder: Path, *flags: Word, redis_port: bool = False,
                 data: Optional[Path] = None, config: Optional[Path] = None) -> None:
        self.data = data or folder / "data"
        self.log_path = folder / "server.log"
        self.config = config
        self.flags = [str(flag) for flag in flags]
        self.port = 0
        self.redis_port = 0
        self.wants_redis_port = redis_port
        self.process: Optional[subprocess.Popen] = None

    def command(self, *extra: Word) -> List[str]:
        words = [str(BINARY), "serve"]
        if self.config is not None:
            words.append(str(self.config))
        words += ["--port", str(self.port), "--dir", str(self.data)]
        if self.wants_redis_port:
            words += ["--redis-port", str(self.redis_port)]
        return words + self.flags + [str(word) for word in extra]

    def start(self, *extra: Word, wait: bool = True) -> "Server":
        """Starts and waits until it serves. Ports stay the same over restarts."""
        for _ in range(5):
            if self.port == 0:
                self.port, self.redis_port = free_port(), free_port()
                fresh = True
            else:
                fresh = False
            log_start = len(self.log())
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(self.command(*extra), stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=subprocess.STDOUT)
            if not wait:
                return self
            try:
                self.wait_ready()
                return self
            except AssertionError:
                taken = "in use" in self.log()[log_start:]
                self.kill()
                if not (fresh and taken):
                    raise
                self.port = 0
        raise AssertionError("found no free port")

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the server ended with status {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                with Client(self.port) as client:
                    # Not PING, which may be answered while the data is still being loaded.
                    client.send("EXISTS", "ready")
                    reply = client.read()
                    # A password hides whether the data is there: the health check does not.
                    return reply == 0 or ("NOAUTH" in str(reply) and self.readyz())
            except (OSError, EOFError):
                return False
        eventually(ready, "an answer to EXISTS", seconds)

    def readyz(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REPLY_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def client(self, **options: Any) -> Client:
        return Client(self.port, **options)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit status of a server that ends by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {seconds} s:\n{self.log()[-4000:]}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def info(self, section: str = "") -> dict:
        with self.client() as client:
            text = client.call(*(["INFO", section] if section else ["INFO"]))
        pairs = (line.split(":", 1) for line in text.split("\r\n") if ":" in line)
        return {name: value for name, value in pairs}


class SystemTest(unittest.TestCase):
    """Gives each test a folder of its own and ends its servers, whatever happens."""

    maxDiff = 2000

    def setUp(self) -> None:
        self.assertTrue(BINARY.exists(), f"{BINARY} is not built")
        self.folder = Path(tempfile.mkdtemp(prefix="jeton-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def server(self, *flags: Word, start: bool = True, **options: Any) -> Server:
        server = Server(self.folder, *flags, **options)
        self.addCleanup(server.kill)
        return server.start() if start else server

    def fails_to_start(self, server: Server, *extra: Word) -> str:
        """Starts a server that must refuse to; returns what it printed."""
        if server.port == 0:
            server.port, server.redis_port = free_port(), free_port()
        done = subprocess.run(server.command(*extra), stdin=subprocess.DEVNULL, timeout=START_SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertGreater(done.returncode, 0, f"died by a signal: {done.stdout}")
        return done.stdout

    def assert_counts(self, replies: List[Any], count: int) -> None:
        """The replies are "1", "2" ... `count`. (assertEqual would draw a diff for minutes.)"""
        self.assertEqual(len(replies), count)
        for i, reply in enumerate(replies, 1):
            if reply != str(i):
                self.fail(f"reply {i} is {reply!r}")

    def assert_error(self, start: str, client: Client, *words: Word) -> None:
        client.send(*words)
        reply = client.read()
        self.assertIsInstance(reply, ReplyError, f"{words!r:.80} replied {reply!r:.80}")
        self.assertTrue(str(reply).startswith(start), f"{reply} does not start with {start}")


def main() -> None:
    unittest.main(verbosity=2)
