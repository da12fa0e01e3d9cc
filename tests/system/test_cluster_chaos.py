"""Nodes whose links are delayed, throttled, stalled, cut and replayed, while clients count.

TEST_SEED chooses what happens; CHAOS_SECONDS how long.
"""

import os
import random
import threading
import time
from typing import List

import harness
from chaos_proxy import ChaosProxy
from cluster_harness import ClusterTest, Load
from harness import Server

SEED = int(os.environ.get("TEST_SEED", "1"))
CHAOS_SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
STEP_SECONDS = 0.25


class ChaosTest(ClusterTest):
    def proxied(self, count: int) -> List[Server]:
        """Nodes that know each other by the addresses of their proxies only."""
        self.proxies: List[ChaosProxy] = []
        servers = []
        for i in range(count):
            port = harness.free_port()
            server = self.node("--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", port,
                               "--cluster-digest-interval", 300)
            proxy = ChaosProxy(port, server.port, SEED + i)
            self.addCleanup(proxy.close)
            self.proxies.append(proxy)
            servers.append(server)
        for proxy in self.proxies[1:]:
            self.assertEqual(self.call(servers[0], "CLUSTER", "MEET", "127.0.0.1", proxy.port), "OK")
        self.wait_linked(*servers)
        return servers

    def step(self, chance: random.Random, proxy: ChaosProxy) -> None:
        """One more thing that goes wrong, or right again."""
        policy = chance.choice((proxy.ahead, proxy.back))
        what = chance.randrange(9)
        if what == 0:
            policy.delay, policy.jitter = chance.random() * 0.2, chance.random() * 0.2
        elif what == 1:
            policy.bytes_per_second = chance.choice((5_000, 50_000, 500_000))
        elif what == 2:
            policy.stalled = True  # this way only
        elif what == 3:
            proxy.cut()
        elif what == 4:
            proxy.cuts_in_the_middle = 0.05
        elif what == 5:
            proxy.replay()
        elif what == 6:
            proxy.refusing = True
            proxy.cut()
        else:
            proxy.heal()

    def chaos(self, servers: List[Server], load: Load, kills: int = 0) -> None:
        chance = random.Random(SEED)
        end = time.monotonic() + CHAOS_SECONDS
        pause = threading.Event()
        kill_at = [time.monotonic() + CHAOS_SECONDS * (i + 1) / (kills + 1) for i in range(kills)]
        while time.monotonic() < end:
            self.step(chance, chance.choice(self.proxies))
            if kill_at and time.monotonic() >= kill_at[0]:
                kill_at.pop(0)
                victim = chance.choice(servers)
                victim.kill()
                victim.start()
            pause.wait(chance.random() * STEP_SECONDS)
        load.wait_operations(10)
        for proxy in self.proxies:
            proxy.heal()

    def finish(self, servers: List[Server], load: Load) -> None:
        self.assertGreater(sum(proxy.cuts for proxy in self.proxies), 0)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)
        self.wait_state("CONSISTENT", *servers)
        self.poll(lambda: all(int(server.info("cluster")["cluster_digests_equal"]) > 0
                              for server in servers), "the digests are compared", servers)
        for server in servers:
            self.assertEqual(server.info("cluster")["cluster_divergences"], "0")

    def test_three_nodes_on_a_bad_network(self) -> None:
        servers = self.proxied(3)
        with Load(servers, seed=SEED) as load:
            self.chaos(servers, load)
        self.finish(servers, load)

    def test_five_nodes_on_a_bad_network_that_also_die(self) -> None:
        servers = self.proxied(5)
        with Load(servers, writers=5, seed=SEED, pause=0.004) as load:
            self.chaos(servers, load, kills=4)
        self.finish(servers, load)

    def test_a_stall_one_way_is_noticed_and_heals(self) -> None:
        servers = self.proxied(3)
        with Load(servers, seed=SEED) as load:
            # What the others send to the last node is swallowed; the way back is open.
            self.proxies[2].ahead.stalled = True
            self.proxies[2].cut()
            load.wait_operations(100)
            for proxy in self.proxies[:2]:
                proxy.back.stalled = True
            self.wait_state("INCONSISTENT", servers[2])
            load.wait_operations(100)
            for proxy in self.proxies:
                proxy.heal()
        self.finish(servers, load)


if __name__ == "__main__":
    harness.main()
