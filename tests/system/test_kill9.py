"""Kills the server in the middle of everything and audits what it kept.

Several connections pipeline increments under `fsync always` and keep a ledger:
what was sent, and what was acknowledged. After `kill -9` and a restart every
counter must hold at least what was acknowledged and at most what was sent.
TEST_SEED chooses the moments (printed, so that a failure can be repeated).
"""

import os
import random
import subprocess
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Dict, List

import harness

ROUNDS = 8
CONNECTIONS = 6
PIPELINE_MAX = 64
# The server is killed once so many increments were acknowledged in a round.
ACKNOWLEDGED_MAX = 6000
ROUND_SECONDS = 60


@dataclass
class Entry:
    """What is known of one counter, in increments."""
    step: Decimal
    sent: int = 0
    acknowledged: int = 0


class Ledger:
    def __init__(self) -> None:
        self.entries: Dict[str, Entry] = {"shared": Entry(Decimal(1))}
        for i in range(CONNECTIONS):
            self.entries[f"own:{i}"] = Entry(Decimal(1))
            self.entries[f"float:{i}"] = Entry(Decimal("0.1"))
        self.lock = threading.Lock()

    def acknowledged(self) -> int:
        with self.lock:
            return sum(entry.acknowledged for entry in self.entries.values())

    def count(self, names: List[str], field: str) -> None:
        with self.lock:
            for name in names:
                entry = self.entries[name]
                setattr(entry, field, getattr(entry, field) + 1)


class Worker(threading.Thread):
    """One connection that increments until the server is gone."""

    def __init__(self, port: int, number: int, seed: int, ledger: Ledger) -> None:
        super().__init__()
        self.port, self.number, self.ledger = port, number, ledger
        self.random = random.Random(seed)
        self.surprise = ""

    def run(self) -> None:
        try:
            with harness.Client(self.port) as client:
                while True:
                    self.batch(client)
        except (OSError, EOFError):
            pass  # The plug was pulled, as planned.

    def batch(self, client: harness.Client) -> None:
        names = self.random.choices(["shared", f"own:{self.number}", f"float:{self.number}"],
                                    k=self.random.randint(1, PIPELINE_MAX))
        raw = b"".join(harness.encode("INCRBYFLOAT", name, "0.1") if name.startswith("float")
                       else harness.encode("INCR", name) for name in names)
        # Counted before the first byte leaves: from here on any part may be applied.
        self.ledger.count(names, "sent")
        client.send_raw(raw)
        for name in names:
            reply = client.read()
            if isinstance(reply, harness.ReplyError):
                self.surprise = f"{name}: {reply}"
                raise EOFError
            self.ledger.count([name], "acknowledged")


class Kill9Test(harness.SystemTest):
    def test_no_acknowledged_increment_is_lost(self) -> None:
        seed = int(os.environ.get("TEST_SEED", "20260812"))
        print(f"TEST_SEED={seed}", flush=True)
        chance = random.Random(seed)
        server = self.server("--fsync", "always", "--log-segment-size", "1mb", start=False)
        ledger = Ledger()
        for number in range(ROUNDS):
            server.start()
            self.audit(server, ledger)
            self.round(server, ledger, chance, snapshot=number % 3 == 1)
        server.start()
        self.audit(server, ledger)
        self.assertEqual(server.stop(), 0)
        checked = subprocess.run([harness.BINARY, "check", server.data], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def round(self, server: harness.Server, ledger: Ledger, chance: random.Random,
              snapshot: bool) -> None:
        enough = ledger.acknowledged() + chance.randint(1, ACKNOWLEDGED_MAX)
        workers = [Worker(server.port, i, chance.getrandbits(32), ledger) for i in range(CONNECTIONS)]
        for worker in workers:
            worker.start()
        if snapshot:
            with server.client() as client:
                client.call("BGSAVE")
        deadline = time.monotonic() + ROUND_SECONDS
        while ledger.acknowledged() < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        server.kill()
        for worker in workers:
            worker.join()
            self.assertEqual(worker.surprise, "")
        self.assertLess(time.monotonic(), deadline, "the round took too long")

    def audit(self, server: harness.Server, ledger: Ledger) -> None:
        names = list(ledger.entries)
        with server.client() as client:
            values = client.pipeline([("GET", name) for name in names])
        for name, value in zip(names, values):
            entry = ledger.entries[name]
            applied = Decimal(value) / entry.step
            self.assertEqual(applied, int(applied), f"{name} is {value}")
            self.assertGreaterEqual(applied, entry.acknowledged, f"{name} lost increments")
            self.assertLessEqual(applied, entry.sent, f"{name} has increments nobody sent")
            # From now on the outcome of the unanswered ones is known.
            entry.sent = entry.acknowledged = int(applied)


if __name__ == "__main__":
    harness.main()
