"""What the tests of several nodes have in common: starting them, joining them, and a ledger.

`Load` runs clients that increment with all their might and write down what was acknowledged.
An increment whose reply never came may have happened or not: the ledger keeps such amounts apart,
and accepts a value only if it is the acknowledged sum plus some of them.
"""

import random
import socket
import threading
import time
from collections import defaultdict
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import harness
from harness import Client, ReplyError, Server, eventually

NODE_TIMEOUT_MS = 1000
# From healing to equality; generous, because tests share the machine.
CONVERGE_SECONDS = 40
# Of these a subset is looked for by trying sums; a test that leaves more is too coarse.
SUMS_MAX = 1 << 20


def nodes_of(client: Client) -> dict:
    """CLUSTER NODES: id -> (address, flags, link)."""
    found = {}
    for line in client.call("CLUSTER", "NODES").splitlines():
        words = line.split(" ")
        found[words[0]] = (words[1], words[2], words[5])
    return found


def sums_of(amounts: Sequence[int]) -> Set[int]:
    sums = {0}
    for amount in amounts:
        sums |= {one + amount for one in sums}
        assert len(sums) <= SUMS_MAX, f"{len(amounts)} replies are missing: too many to tell"
    return sums


class Ledger:
    """What clients were told, by counter. Tree cells are named 'tree/key'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acknowledged: Dict[str, int] = defaultdict(int)
        self.unknown: Dict[str, List[int]] = defaultdict(list)
        self.operations = 0
        self.refused: Dict[str, int] = defaultdict(int)

    def acknowledge(self, name: str, amount: int) -> None:
        with self._lock:
            self.acknowledged[name] += amount
            self.operations += 1

    def wonder(self, name: str, amount: int) -> None:
        with self._lock:
            self.unknown[name].append(amount)

    def refuse(self, why: str) -> None:
        with self._lock:
            self.refused[why[:60]] += 1

    def count(self) -> int:
        with self._lock:
            return self.operations

    def names(self) -> List[str]:
        with self._lock:
            return sorted(set(self.acknowledged) | set(self.unknown))

    def allowed(self, name: str) -> Set[int]:
        with self._lock:
            return {self.acknowledged[name] + extra for extra in sums_of(self.unknown[name])}


class Writer(threading.Thread):
    """One client after another, each on the next server, one increment at a time."""

    def __init__(self, load: "Load", number: int) -> None:
        super().__init__(daemon=True)
        self.load = load
        self.number = number
        self.random = random.Random(f"{load.seed}/{number}")
        self.next_amount = 1
        self.connections = 0
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        try:
            while not self.load.ended.is_set():
                self.session(self.load.servers[self.pick()])
        except BaseException as error:  # Told by the thread that joins this one.
            self.error = error

    def pick(self) -> int:
        if self.load.roam:
            return self.random.randrange(len(self.load.servers))
        return self.number % len(self.load.servers)

    def session(self, server: Server) -> None:
        try:
            client = self.load.connect(server)
        except OSError:
            self.load.ended.wait(0.02)
            return
        with client:
            client.socket.settimeout(self.load.reply_seconds)
            self.connections += 1
            for _ in range(self.load.session_operations):
                if self.load.ended.is_set() or not self.increment(client):
                    return

    def increment(self, client: Client) -> bool:
        # Amounts of one writer differ, so that a lost or doubled one cannot hide behind another.
        amount = self.next_amount * 64 + self.number
        self.next_amount += 1
        name = self.random.choice(self.load.names + [f"{self.load.own}:{self.number}"])
        tree, _, key = name.partition("/")
        words = ("TREE.INCRBY", tree, key, amount) if key else ("INCRBY", name, amount)
        try:
            client.send(*words)
            reply = client.read()
        except (OSError, EOFError):
            self.load.ledger.wonder(name, amount)
            return False
        if isinstance(reply, ReplyError):
            self.load.ledger.refuse(str(reply))
            self.load.ended.wait(0.02)
            return not str(reply).startswith("LOADING")
        self.load.ledger.acknowledge(name, amount)
        if self.load.pause:
            self.load.ended.wait(self.load.pause)
        return True


class Load:
    """Writers on `servers`; a context in which they run."""

    def __init__(self, servers: Sequence[Server], writers: int = 6, roam: bool = False,
                 names: Sequence[str] = ("hot", "warm", "tree/leaf", "tree/twig"),
                 pause: float = 0.001, seed: int = 1, session_operations: int = 1_000_000,
                 reply_seconds: float = 10,
                 connect: Optional[Callable[[Server], Client]] = None,
                 ledger: Optional[Ledger] = None, own: str = "own") -> None:
        self.servers = list(servers)
        self.names = list(names)
        self.own = own  # what each writer's counter of its own begins with
        self.roam = roam
        self.pause = pause
        self.seed = seed
        self.session_operations = session_operations
        self.reply_seconds = reply_seconds
        self.connect = connect or (lambda server: server.client())
        self.ledger = ledger or Ledger()
        self.ended = threading.Event()
        self.writers = [Writer(self, i) for i in range(writers)]

    def __enter__(self) -> "Load":
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.ended.set()
        for writer in self.writers:
            writer.join(harness.REPLY_SECONDS + 10)
            assert not writer.is_alive(), "a client still waits for a reply"
            if writer.error is not None:
                raise writer.error

    def wait_operations(self, more: int, seconds: float = 30) -> None:
        """Until so many more increments were acknowledged."""
        goal = self.ledger.count() + more
        eventually(lambda: self.ledger.count() >= goal, f"{more} more increments", seconds)


def ready(look: Callable[[], Any]) -> Any:
    """What look() says; nothing while a node copies the data of the others."""
    try:
        return look()
    except ReplyError as error:
        if not str(error).startswith("LOADING"):
            raise
        return None


class ClusterTest(harness.SystemTest):
    def setUp(self) -> None:
        super().setUp()
        self.started = 0

    def prepare(self, *flags: harness.Word, data: Optional[Any] = None) -> Server:
        """A node that is not started yet."""
        self.started += 1
        folder = self.folder / f"node{self.started}"
        folder.mkdir()
        server = Server(folder, "--cluster-node-timeout", NODE_TIMEOUT_MS, *flags, data=data)
        self.addCleanup(server.kill)
        return server

    def node(self, *flags: harness.Word, **options: Any) -> Server:
        return self.prepare(*flags, **options).start()

    def call(self, server: Server, *words: harness.Word) -> Any:
        with server.client() as client:
            return client.call(*words)

    def id_of(self, server: Server) -> str:
        return self.call(server, "CLUSTER", "MYID")

    def flags(self, server: Server) -> dict:
        with server.client() as client:
            return {node: words[1] for node, words in nodes_of(client).items()}

    def meet(self, server: Server, other: Server) -> None:
        self.assertEqual(self.call(server, "CLUSTER", "MEET", "127.0.0.1", other.port), "OK")

    def wait_linked(self, *servers: Server) -> None:
        """Until every one sees all of them, linked, and only them."""
        ids = {self.id_of(server) for server in servers}

        def complete() -> bool:
            for server in servers:
                with server.client() as client:
                    nodes = nodes_of(client)
                    # Of a forgotten node the record stays.
                    living = {k: n for k, n in nodes.items() if "forgotten" not in n[1]}
                    if set(living) != ids or any(n[2] != "connected" for n in living.values()):
                        return False
            return True
        self.poll(complete, "all nodes are linked", servers)

    def poll(self, look: Callable[[], Any], what: str, servers: Sequence[Server],
             seconds: float = CONVERGE_SECONDS) -> None:
        """Like eventually(), but a failure shows what the nodes say of themselves, and a node that
        is not ready is asked again."""
        try:
            eventually(lambda: ready(look), what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.portrait(servers)}") from None

    def portrait(self, servers: Sequence[Server]) -> str:
        lines = []
        for server in servers:
            lines.append(f"--- {server.data} port {server.port} alive {server.alive()}")
            if server.alive():
                try:
                    with server.client() as client:
                        client.socket.settimeout(2)
                        lines += [client.call("CLUSTER", "NODES"), client.call("INFO", "cluster")]
                except (OSError, EOFError, ReplyError) as error:
                    lines.append(f"no answer: {error}")
            lines.append(server.log()[-2500:])
        return "\n".join(lines)

    def cluster(self, count: int, *flags: harness.Word) -> List[Server]:
        """All empty, and met at the same time."""
        servers = [self.node(*flags) for _ in range(count)]
        for other in servers[1:]:
            self.meet(servers[0], other)
        self.wait_linked(*servers)
        return servers

    def three(self) -> List[Server]:
        return self.cluster(3)

    def wait_value(self, name: str, value: str, *servers: Server) -> None:
        seen: List[Any] = []

        def equal() -> bool:
            seen.clear()
            for server in servers:
                seen.append(self.call(server, "GET", name))
            return all(one == value for one in seen)
        try:
            eventually(lambda: ready(equal), "equal values", CONVERGE_SECONDS)
        except AssertionError:
            raise AssertionError(f"{name} should be {value} everywhere, is {seen}\n"
                                 f"{self.portrait(servers)}") from None

    def values(self, server: Server, names: Sequence[str]) -> Tuple[int, ...]:
        requests = []
        for name in names:
            tree, _, key = name.partition("/")
            requests.append(("TREE.SUM", tree, key) if key else ("GET", name))
        with server.client() as client:
            replies = client.pipeline(requests)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        return tuple(int(reply) for reply in replies)

    def wait_ledger(self, ledger: Ledger, *servers: Server) -> None:
        """Until all servers agree; what they agree on must be what the clients were told."""
        names = ledger.names()
        allowed = {name: ledger.allowed(name) for name in names}
        seen: List[Tuple[int, ...]] = []

        def agreed() -> bool:
            seen.clear()
            try:
                for server in servers:
                    seen.append(self.values(server, names))
            except (OSError, EOFError, ReplyError):
                return False  # LOADING, for instance
            return len(set(seen)) == 1 and all(
                value in allowed[name] for name, value in zip(names, seen[0]))
        try:
            eventually(agreed, "the ledger", CONVERGE_SECONDS)
        except AssertionError:
            pass
        else:
            return
        lines = []
        for i, name in enumerate(names):
            column = [row[i] for row in seen]
            if len(set(column)) == 1 and column[0] in allowed[name]:
                continue
            lines.append(f"{name}: nodes say {column}, acknowledged {ledger.acknowledged[name]}, "
                         f"unknown {ledger.unknown[name]}, "
                         f"differences {[v - ledger.acknowledged[name] for v in column]}")
        self.fail("not what the clients were told:\n" + "\n".join(lines) + "\n"
                  + self.portrait(servers))

    def state_of(self, server: Server, name: str = "hot") -> str:
        return self.call(server, "GET", name, "STATE")[1]

    def wait_state(self, state: str, *servers: Server) -> None:
        self.poll(lambda: all(self.state_of(server) == state for server in servers),
                  f"the state is {state}", servers)
