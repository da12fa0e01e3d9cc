"""Three nodes in three network namespaces, each pair with a link of its own that can be cut.

Needs root and `ip netns`; says so and skips otherwise. A node has one address, on its loopback
device; the routes to it are what is cut: with a blackhole, so that nobody is told (as with a cable
that is pulled), in both directions or in one. Clients come by a unix socket, which no cut reaches.
"""

import itertools
import os
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import harness
from cluster_harness import ClusterTest, Load
from harness import Client, Server, eventually

SEED = int(os.environ.get("TEST_SEED", "1"))
PORT = 5262
SLOW = ("rate", "256kbit", "burst", "4kb", "latency", "400ms")


def ip(*words: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done


def reason_to_skip() -> Optional[str]:
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"jt{os.getpid()}x"
    try:
        made = ip("netns", "add", name, check=False)
    except FileNotFoundError:
        return "there is no ip command here"
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    ip("netns", "del", name, check=False)
    return None


class NamespacedServer(Server):
    """A server in a namespace, reached by its unix socket."""

    def __init__(self, folder: Path, namespace: str, address: str, *flags: harness.Word) -> None:
        self.socket_path = str(folder / "socket")
        super().__init__(folder, "--bind", "0.0.0.0", "--protected-mode", "no", "--unixsocket",
                         self.socket_path, "--cluster-announce-ip", address, *flags)
        self.namespace, self.address = namespace, address
        self.port = PORT

    def command(self, *extra: harness.Word) -> List[str]:
        return ["ip", "netns", "exec", self.namespace, *super().command(*extra)]

    def client(self, **options) -> Client:
        return Client(0, path=self.socket_path, **options)

    def wait_ready(self, seconds: float = harness.START_SECONDS) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log()[-4000:]}")
            try:
                with self.client() as client:
                    client.send("EXISTS", "ready")
                    return client.read() == 0
            except (OSError, EOFError):
                return False
        eventually(ready, "an answer to EXISTS", seconds)


class PartitionTest(ClusterTest):
    def setUp(self) -> None:
        super().setUp()
        why = reason_to_skip()
        if why:
            self.skipTest(f"SKIPPED LOUDLY: {why}")
        self.spaces: List[str] = []
        self.devices: Dict[Tuple[int, int], str] = {}
        # Of two tests at once, and of a run that was killed, the names differ.
        self.prefix = f"jt{os.getpid() % 100000}"

    def address(self, i: int) -> str:
        return f"10.77.{i}.1"

    def build(self, count: int, links: List[Tuple[int, int]]) -> List[NamespacedServer]:
        for i in range(count):
            space = f"{self.prefix}n{i}"
            ip("netns", "add", space)
            # Its devices, and the other ends of them, go with it.
            self.addCleanup(ip, "netns", "del", space, check=False)
            self.spaces.append(space)
            self.inside(i, "link", "set", "lo", "up")
            self.inside(i, "addr", "add", f"{self.address(i)}/32", "dev", "lo")
        for i, j in links:
            self.link(i, j)
        servers = []
        for i, space in enumerate(self.spaces):
            folder = self.folder / f"node{i}"
            folder.mkdir()
            server = NamespacedServer(folder, space, self.address(i), "--cluster-node-timeout", 1000)
            self.addCleanup(server.kill)
            servers.append(server.start())
        return servers

    def inside(self, i: int, *words: str) -> None:
        ip("-n", self.spaces[i], *words)

    def link(self, i: int, j: int) -> None:
        ends = (f"{self.prefix}v{i}{j}", f"{self.prefix}v{j}{i}")
        ip("link", "add", ends[0], "netns", self.spaces[i], "type", "veth", "peer", "name", ends[1],
           "netns", self.spaces[j])
        net = f"10.78.{i * 10 + j}"
        for end, here, there, host in ((ends[0], i, j, 1), (ends[1], j, i, 2)):
            self.devices[here, there] = end
            self.inside(here, "addr", "add", f"{net}.{host}/24", "dev", end)
            self.inside(here, "link", "set", end, "up")
        self.open_way(i, j)
        self.open_way(j, i)

    def open_way(self, here: int, there: int) -> None:
        low, high = min(here, there), max(here, there)
        via = f"10.78.{low * 10 + high}.{2 if here == low else 1}"
        # From the address of the node, so that the other side answers to that one.
        self.inside(here, "route", "replace", f"{self.address(there)}/32", "via", via, "src",
                    self.address(here))

    def cut_way(self, here: int, there: int) -> None:
        self.inside(here, "route", "replace", "blackhole", f"{self.address(there)}/32")

    def cut(self, i: int, j: int) -> None:
        self.cut_way(i, j)
        self.cut_way(j, i)

    def join(self, i: int, j: int) -> None:
        self.open_way(i, j)
        self.open_way(j, i)

    def meet_by_address(self, server: Server, other: NamespacedServer) -> None:
        self.assertEqual(self.call(server, "CLUSTER", "MEET", other.address, PORT), "OK")

    def full(self, count: int = 3) -> List[NamespacedServer]:
        servers = self.build(count, list(itertools.combinations(range(count), 2)))
        for other in servers[1:]:
            self.meet_by_address(servers[0], other)
        self.wait_linked(*servers)
        return servers

    def finish(self, servers: List[NamespacedServer], load: Load) -> None:
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)
        self.wait_state("CONSISTENT", *servers)

    def test_partitions_that_move(self) -> None:
        servers = self.full()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(50)
            # One pair: what they have still gets around, by the third.
            self.cut(0, 1)
            with servers[0].client() as client:
                client.call("INCRBY", "own:detour", 7)
                load.ledger.acknowledge("own:detour", 7)
            self.wait_value("own:detour", "7", *servers)
            load.wait_operations(50)
            # Then one node, from all.
            self.cut(0, 2)
            self.wait_state("INCONSISTENT", *servers)
            load.wait_operations(100)
            with servers[0].client() as client:
                client.call("INCRBY", "own:alone", 3)
                load.ledger.acknowledge("own:alone", 3)
                self.assertEqual(client.call("WAIT", 1, 200), 0)
            self.assertEqual(self.call(servers[1], "GET", "own:alone"), "0")
            # Then another one, while the first is let in again.
            self.join(0, 1)
            self.join(0, 2)
            self.cut(2, 0)
            self.cut(2, 1)
            self.wait_value("own:alone", "3", *servers[:2])
            load.wait_operations(100)
            self.join(2, 0)
            self.join(2, 1)
        self.finish(servers, load)

    def test_a_way_that_is_cut_in_one_direction(self) -> None:
        servers = self.full()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(50)
            self.cut_way(0, 2)
            load.wait_operations(100)
            with servers[0].client() as client:
                client.call("INCRBY", "own:detour", 7)
                load.ledger.acknowledge("own:detour", 7)
            # Node 2 hears of it from node 1.
            self.wait_value("own:detour", "7", *servers)
            self.cut_way(1, 2)
            self.wait_state("INCONSISTENT", servers[2])
            load.wait_operations(100)
            self.open_way(0, 2)
            self.open_way(1, 2)
        self.finish(servers, load)

    def test_a_line_without_a_link_between_its_ends(self) -> None:
        servers = self.build(3, [(0, 1), (1, 2)])
        # Nobody is told: as behind a firewall that drops.
        self.cut(0, 2)
        self.meet_by_address(servers[0], servers[1])
        self.meet_by_address(servers[1], servers[2])
        # Two that have data would not join.
        self.poll(lambda: all(len(self.flags(s)) == 3 for s in servers), "three members", servers)
        with Load(servers, seed=SEED) as load:
            load.wait_operations(100)
            servers[1].kill()
            load.wait_operations(50)
            servers[1].start()
        self.wait_ledger(load.ledger, *servers)
        self.wait_state("CONSISTENT", *servers)
        with servers[0].client() as client:
            client.call("INCR", "hot")
            load.ledger.acknowledge("hot", 1)
            self.assertEqual(client.call("WAIT", 2, 20_000), 2)
        self.wait_ledger(load.ledger, *servers)

    def test_a_slow_link_and_a_long_partition(self) -> None:
        servers = self.full()
        for way in ((2, 0), (2, 1), (0, 2), (1, 2)):
            done = subprocess.run(["ip", "netns", "exec", self.spaces[way[0]], "tc", "qdisc", "add",
                                   "dev", self.devices[way], "root", "tbf", *SLOW],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                self.skipTest(f"SKIPPED LOUDLY: no tbf here: {done.stderr.strip()}")
        with Load(servers, seed=SEED) as load:
            load.wait_operations(200)
            self.cut(2, 0)
            self.cut(2, 1)
            load.wait_operations(1000)
            with servers[0].client() as client:
                client.pipeline([("INCRBY", f"own:many:{i}", 1) for i in range(2000)])
                for i in range(0, 2000, 100):
                    load.ledger.acknowledge(f"own:many:{i}", 1)
            self.join(2, 0)
            self.join(2, 1)
        self.finish(servers, load)


if __name__ == "__main__":
    harness.main()
