"""Counters with a precision on several real servers: predicted meanwhile, exact in the end."""

import time

import harness
from cluster_harness import ClusterTest
from harness import eventually


class PrecisionTest(ClusterTest):
    def exact(self, server: harness.Server, name: str) -> str:
        return self.call(server, "GET", name, "EXACT")

    def count_steadily(self, server: harness.Server, name: str, seconds: float) -> int:
        """One increment every 20 ms; how many that were."""
        count, begin = 0, time.monotonic()
        with server.client() as client:
            while time.monotonic() - begin < seconds:
                client.call("INCR", name)
                count += 1
                time.sleep(0.02)
        return count

    def test_a_counter_with_a_precision_is_predicted(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCR", "hits")
        self.call(servers[0], "PRECISION", "hits", 100)
        self.wait_value("hits", "1", *servers)
        for server in servers:
            eventually(lambda s=server: self.call(s, "PRECISION", "hits") == "100", "precision")
        count = 1
        seen = set()

        def moves() -> bool:
            nonlocal count
            count += self.count_steadily(servers[0], "hits", 0.5)
            value, known = self.call(servers[1], "GET", "hits"), self.exact(servers[1], "hits")
            if int(value) > int(known) > 1:
                seen.add(value)
            return len(seen) >= 3
        eventually(moves, "an estimate that goes on where nothing has come", 30)
        # Quiet: all nodes have the exact sum, and nothing is added to it any more.
        self.wait_value("hits", str(count), *servers)
        for server in servers:
            eventually(lambda s=server: self.exact(s, "hits") == str(count), "the exact sum")
        time.sleep(0.5)
        self.wait_value("hits", str(count), *servers)
        info = servers[1].info("cluster")
        self.assertGreater(int(info["prediction_hits"]) + int(info["prediction_misses"]), 0)
        # A SET takes what is known, and the reply of INCR is exact.
        self.assertEqual(self.call(servers[1], "INCR", "hits"), str(count + 1))
        self.assertEqual(self.call(servers[2], "SET", "hits", 5), "5")

    def test_a_dead_node_is_not_predicted(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCR", "hits")
        self.call(servers[0], "PRECISION", "hits", 100)
        self.wait_value("hits", "1", *servers)

        def predicted() -> bool:
            self.count_steadily(servers[0], "hits", 0.5)
            return int(self.call(servers[1], "GET", "hits")) > int(self.exact(servers[1], "hits"))
        eventually(predicted, "an estimate", 30)
        servers[0].kill()
        for server in servers[1:]:
            eventually(lambda s=server: self.call(s, "GET", "hits") == self.exact(s, "hits"),
                       "no estimate of a dead node", 20)

    def test_wait_counts_what_may_be_told_late(self) -> None:
        servers = self.three()
        with servers[0].client() as client:
            client.call("INCR", "hits")
            client.call("PRECISION", "hits", 1000)
            client.call("INCRBY", "hits", 5)
            self.assertEqual(client.call("WAIT", 2, 4000), 2)
        self.assertEqual(self.exact(servers[1], "hits"), "6")

    def test_what_was_told_late_survives_a_crash(self) -> None:
        servers = self.three()
        with servers[0].client() as client:
            client.call("INCR", "hits")
            client.call("PRECISION", "hits", 1000)
            client.call("INCRBY", "hits", 5)
        servers[0].kill()
        servers[0].start()
        self.wait_value("hits", "6", *servers)


if __name__ == "__main__":
    harness.main()
