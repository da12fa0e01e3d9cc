"""The clients that people have connect without a warning, count, pipeline and subscribe."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import List

import redis

import harness

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
HIREDIS_CLIENT = os.environ.get("HIREDIS_CLIENT", str(harness.ROOT / "build/release/hiredis_client"))


def run(*words: object, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in words], input=stdin, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Terminal:
    """A program in a terminal, which is how people meet redis-cli's hints."""

    def __init__(self, *words: object) -> None:
        self.process_id, self.handle = pty.fork()
        if self.process_id == 0:
            # Without a size redis-cli asks the terminal where its cursor is, and nobody answers.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
            os.environ["TERM"] = "xterm"
            os.execvp(str(words[0]), [str(word) for word in words])
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def wait_for(self, text: str, seconds: float = 10) -> str:
        """Everything seen so far, as soon as `text` is in what came since the last call."""
        start = len(self.seen)
        deadline = time.monotonic() + seconds
        while text not in self.seen[start:]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.handle], [], [], left)[0]:
                raise AssertionError(f"{text!r} did not appear: {self.seen!r}")
            try:
                self.seen += os.read(self.handle, 4096).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended before {text!r}: {self.seen!r}") from None
        return self.seen

    def end(self) -> None:
        os.close(self.handle)
        os.waitpid(self.process_id, 0)


class ClientsTest(harness.SystemTest):
    def setUp(self) -> None:
        super().setUp()
        self.jeton = self.server(redis_port=True)

    def cli(self, *words: object) -> List[str]:
        done = run("redis-cli", *words)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("WARNING", done.stdout.upper())
        return done.stdout.splitlines()

    # redis-cli

    def test_redis_cli_counts_in_both_dialects(self) -> None:
        port = self.jeton.port
        self.assertEqual(self.cli("-p", port, "INCR", "visits"), ["1"])
        self.assertEqual(self.cli("-p", port, "INCRBY", "visits", "0.5"), ["1.5"])
        self.assertEqual(self.cli("-p", port, "GET", "missing"), ["0"])
        self.assertEqual(self.cli("-3", "-p", port, "GET", "missing"), [""])
        self.assertEqual(self.cli("-3", "-p", port, "SET", "visits", "41"), ["OK"])
        self.assertEqual(self.cli("-3", "--no-raw", "-p", port, "INCR", "visits"), ["(integer) 42"])
        self.assertEqual(self.cli("--no-raw", "-p", self.jeton.redis_port, "INCR", "visits"),
                         ["(integer) 43"])

    def test_redis_cli_pipes(self) -> None:
        requests = "".join(harness.encode("INCR", "piped").decode() for _ in range(1000))
        done = run("redis-cli", "-p", self.jeton.redis_port, "--pipe", stdin=requests)
        self.assertIn("errors: 0, replies: 1000", done.stdout)
        self.assertEqual(self.cli("-p", self.jeton.port, "GET", "piped"), ["1000"])

    def test_redis_cli_subscribes(self) -> None:
        for flags in ([], ["-3"]):
            name = f"channel{len(flags)}"
            subscriber = subprocess.Popen(
                ["redis-cli", *flags, "-p", str(self.jeton.port), "SUBSCRIBE", name],
                stdout=subprocess.PIPE, text=True)
            self.addCleanup(subscriber.stdout.close)
            self.addCleanup(subscriber.wait)
            self.addCleanup(subscriber.kill)
            self.assertEqual([subscriber.stdout.readline().strip() for _ in range(3)],
                             ["subscribe", name, "1"])
            self.cli("-p", self.jeton.port, "INCRBY", name, "7")
            start = time.monotonic()
            self.assertEqual([subscriber.stdout.readline().strip() for _ in range(3)],
                             ["message", name, "7"])
            self.assertLess(time.monotonic() - start, 2)

    def test_redis_cli_in_a_terminal_shows_hints(self) -> None:
        terminal = Terminal("redis-cli", "-p", self.jeton.port)
        self.addCleanup(terminal.end)
        terminal.wait_for("> ")
        terminal.type("incrby ")
        # The hint comes from COMMAND DOCS.
        seen = terminal.wait_for("increment")
        terminal.type("hinted 5\r")
        terminal.wait_for('"5"')
        terminal.type("quit\r")
        self.assertNotRegex(seen, r"(?i)warning|\(error\)")

    # redis-benchmark

    def test_redis_benchmark_runs_without_a_warning(self) -> None:
        for flags in ([], ["-3"]):
            done = run("redis-benchmark", "-p", self.jeton.redis_port, *flags, "-q", "-n", 20000,
                       "-t", "incr,get", "-P", 16)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertNotRegex(done.stdout, r"(?i)warning|error")
            self.assertEqual(len(re.findall(r"requests per second", done.stdout)), 2, done.stdout)
        with self.jeton.client() as client:
            self.assertEqual(client.call("GET", "counter:__rand_int__"), "40000")

    # python3-redis

    def test_python_redis_counts_and_pipelines(self) -> None:
        client = redis.Redis(port=self.jeton.redis_port, decode_responses=True, socket_timeout=10)
        self.assertIs(client.ping(), True)
        self.assertEqual(client.incr("count"), 1)
        self.assertEqual(client.incrby("count", 41), 42)
        self.assertEqual(client.incrbyfloat("count", 0.5), 42.5)
        self.assertIs(client.set("count", 7, ex=100), True)
        self.assertEqual(client.ttl("count"), 100)
        self.assertEqual(client.get("count"), "7")
        self.assertIsNone(client.get("missing"))
        self.assertEqual(client.mget("count", "missing"), ["7", None])
        self.assertEqual(client.info()["redis_mode"], "standalone")
        self.assertEqual(sorted(client.scan_iter()), ["count"])
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(1000):
                pipeline.incr("pipeline")
            self.assertEqual(pipeline.execute(), list(range(1, 1001)))
        with client.pipeline(transaction=True) as pipeline:
            pipeline.incr("pipeline").decr("pipeline")
            self.assertEqual(pipeline.execute(), [1001, 1000])
        with self.assertRaises(redis.ResponseError):
            client.incr("count", 10**30)

    def test_python_redis_speaks_discnt_on_the_main_port(self) -> None:
        client = redis.Redis(port=self.jeton.port, decode_responses=True, socket_timeout=10)
        self.assertEqual(client.execute_command("INCR", "count"), "1")
        self.assertEqual(client.execute_command("MINCRBY", "0.5", "count", "other"), ["1.5", "0.5"])
        self.assertEqual(client.get("missing"), "0")

    def test_python_redis_subscribes(self) -> None:
        client = redis.Redis(port=self.jeton.redis_port, decode_responses=True, socket_timeout=10)
        subscriber = client.pubsub()
        subscriber.subscribe("channel")
        self.assertEqual(subscriber.get_message(timeout=5)["type"], "subscribe")
        client.incr("channel", 7)
        message = subscriber.get_message(timeout=2)
        self.assertIsNotNone(message, "no message within two seconds")
        self.assertEqual((message["type"], message["channel"], message["data"]),
                         ("message", "channel", "7"))
        subscriber.close()

    # hiredis, ioredis, node-redis

    def test_hiredis(self) -> None:
        for words in ([self.jeton.port], [self.jeton.port, 2], [self.jeton.redis_port]):
            self.assertEqual(run(HIREDIS_CLIENT, *words).stdout, "ok\n")

    def test_ioredis(self) -> None:
        for port in (self.jeton.port, self.jeton.redis_port):
            self.assertEqual(run("node", CLIENTS / "ioredis_client.js", port).stdout, "ok\n")

    def test_node_redis(self) -> None:
        for port in (self.jeton.port, self.jeton.redis_port):
            self.assertEqual(run("node", CLIENTS / "node_redis_client.js", port).stdout, "ok\n")


if __name__ == "__main__":
    harness.main()
