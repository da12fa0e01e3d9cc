"""Nodes that join, leave and are forgotten while clients count; and what each of them promises."""

import os
import threading
import urllib.error
import urllib.request

import harness
from cluster_harness import ClusterTest, Load
from harness import ReplyError, Server, eventually

SEED = int(os.environ.get("TEST_SEED", "1"))
BIG_COUNTERS = 200_000
BIG_TREES = 50
BIG_BUCKETS = 200
BATCH = 5_000


class JoiningTest(ClusterTest):
    def test_d03_idle_counters_reach_a_new_node_from_either_side_of_meet(self) -> None:
        for asks in ("old", "new"):
            with self.subTest(asks=asks):
                old, new = self.node(), self.node()
                self.call(old, "INCRBY", "idle", 100)
                self.call(old, "TREE.INCRBY", "tree", "leaf", 7)
                if asks == "old":
                    self.meet(old, new)
                else:
                    self.meet(new, old)
                self.wait_value("idle", "100", old, new)
                self.poll(lambda: self.values(new, ["tree/leaf"]) == (7,), "the tree", [old, new])

    def test_d04_a_dead_nodes_counts_reach_a_newcomer(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(200)
        self.wait_ledger(load.ledger, *servers)
        servers[2].kill()
        newcomer = self.node("--join", f"127.0.0.1:{servers[1].port}")
        self.wait_ledger(load.ledger, *servers[:2], newcomer)

    def test_d05_d32_a_dead_node_is_forgotten_while_others_count(self) -> None:
        servers = self.cluster(3, "--rejoin", "manual")
        with Load(servers, seed=SEED) as load:
            load.wait_operations(200)
            with servers[2].client() as client:
                client.call("INCRBY", "own:last", 5)
                load.ledger.acknowledge("own:last", 5)
                self.assertEqual(client.call("WAIT", 2, 20_000), 2)
        dead = self.id_of(servers[2])
        self.wait_ledger(load.ledger, *servers)
        servers[2].kill()
        with Load(servers[:2], seed=SEED + 1, ledger=load.ledger, own="later") as later:
            later.wait_operations(50)
            self.assertEqual(self.call(servers[0], "CLUSTER", "FORGET", dead), "OK")
            eventually(lambda: all(self.flags(s).get(dead, "forgotten") == "forgotten"
                                   for s in servers[:2]), "the dead node is forgotten")
            later.wait_operations(200)
        self.wait_ledger(load.ledger, *servers[:2])
        # Who comes after that finds the same; the one that was forgotten is not taken in again.
        newcomer = self.node("--join", f"127.0.0.1:{servers[1].port}")
        self.wait_ledger(load.ledger, *servers[:2], newcomer)
        servers[2].start()
        eventually(lambda: "forgotten" in servers[2].log(), "it is told that it was forgotten", 20)
        self.wait_ledger(load.ledger, *servers[:2], newcomer)
        self.wait_linked(*servers[:2], newcomer)

    def test_a_node_that_resets_is_alone_and_may_join_again_empty(self) -> None:
        servers = self.three()
        leaver, others = servers[2], servers[:2]
        self.call(leaver, "INCRBY", "visits", 5)
        self.wait_value("visits", "5", *servers)
        before = self.id_of(leaver)
        self.assertEqual(self.call(leaver, "CLUSTER", "RESET", "HARD"), "OK")
        self.poll(lambda: self.id_of(leaver) != before and len(self.flags(leaver)) == 1,
                  "it is somebody else and alone", [leaver])
        after = self.id_of(leaver)
        self.assertEqual(self.call(leaver, "INCR", "visits"), "6")
        self.assertEqual(self.call(others[0], "CLUSTER", "FORGET", before), "OK")
        self.wait_linked(*others)
        leaver.stop()
        leaver.start()
        self.assertEqual(self.id_of(leaver), after)
        self.wait_value("visits", "6", leaver)
        self.wait_value("visits", "5", *others)
        self.assertEqual(self.call(leaver, "FLUSHALL"), "OK")
        self.meet(others[1], leaver)
        self.wait_linked(*servers)
        self.wait_value("visits", "5", *servers)
        self.call(leaver, "INCR", "visits")
        self.wait_value("visits", "6", *servers)

    def test_a_node_that_resets_may_join_again_in_the_same_run(self) -> None:
        servers = self.three()
        leaver, others = servers[2], servers[:2]
        leaver.stop()
        leaver.start()  # Two runs are in its log.
        self.wait_linked(*servers)
        for amount, hard in ((5, ()), (7, ("HARD",)), (9, ())):
            self.call(leaver, "INCRBY", "visits", amount)
            self.call(others[0], "INCR", "visits")
            total = self.call(others[0], "GET", "visits")
            self.poll(lambda: len({self.call(s, "GET", "visits") for s in servers}) == 1,
                      "all have both", servers)
            total = self.call(others[0], "GET", "visits")
            before = self.id_of(leaver)
            self.assertEqual(self.call(leaver, "CLUSTER", "RESET", *hard), "OK")
            self.poll(lambda: len(self.flags(leaver)) == 1, "it is alone", [leaver])
            # What it has now is its own, and nobody else's when it comes back.
            self.call(leaver, "INCRBY", "visits", 1000)
            self.assertEqual(self.call(leaver, "FLUSHALL"), "OK")
            if hard:
                self.assertEqual(self.call(others[0], "CLUSTER", "FORGET", before), "OK")
            self.meet(leaver, others[1])
            self.wait_linked(*servers)
            self.wait_value("visits", total, *servers)
        self.call(leaver, "INCRBY", "visits", 11)
        total = str(int(total) + 11)
        self.wait_value("visits", total, *servers)
        leaver.kill()
        leaver.start()
        self.wait_linked(*servers)
        self.wait_value("visits", total, *servers)
        for server in servers:
            server.stop()
        for server in servers:
            server.start()
        self.wait_linked(*servers)
        self.wait_value("visits", total, *servers)

    def test_seven_nodes_are_reset_and_met_in_a_chain_at_once(self) -> None:
        servers = [self.node() for _ in range(7)]
        for round_number in (1, 2, 3):
            for server in servers:
                self.call(server, "FLUSHALL")
                self.assertEqual(self.call(server, "CLUSTER", "RESET", "HARD"), "OK")
            for one, next_one in zip(servers, servers[1:]):
                self.meet(one, next_one)
            self.poll(lambda: all(len(self.flags(s)) == 7 for s in servers), "all know all",
                      servers)
            self.wait_linked(*servers)
            for server in servers:
                self.call(server, "INCRBY", "visits", round_number)
            self.wait_value("visits", str(7 * round_number), *servers)

    def test_two_clusters_with_data_do_not_merge(self) -> None:
        left, right = [self.node(), self.node()], [self.node(), self.node()]
        for number, pair in ((1, left), (2, right)):
            self.meet(*pair)
            self.wait_linked(*pair)
            self.call(pair[0], "INCRBY", "visits", number)
            self.wait_value("visits", str(number), *pair)
        self.meet(left[0], right[0])
        eventually(lambda: "OTHER_CLUSTER" in left[0].log(), "the refusal is said", 20)
        self.wait_value("visits", "1", *left)
        self.wait_value("visits", "2", *right)
        self.wait_linked(*left)
        self.wait_linked(*right)

    def test_met_in_the_moment_of_the_first_writes(self) -> None:
        # They join, or both have data already and are refused; nothing in between.
        for attempt in range(4):
            one, two = self.node(), self.node()
            self.meet(one, two)
            with Load([one, two], writers=4, seed=SEED + attempt) as load:
                load.wait_operations(100)
                self.poll(lambda: len(self.flags(one)) == 2 or "OTHER_CLUSTER" in one.log(),
                          "the one or the other", [one, two])
            if len(self.flags(one)) == 2:
                self.wait_linked(one, two)
                self.wait_ledger(load.ledger, one, two)
            else:
                self.assertEqual((len(self.flags(one)), len(self.flags(two))), (1, 1))
            one.kill()
            two.kill()

    def test_d15_a_wrong_secret_is_refused_either_way(self) -> None:
        friends = self.cluster(2, "--cluster-secret", "right")
        self.call(friends[0], "INCR", "visits")
        strangers = [self.node("--cluster-secret", "wrong"), self.node()]
        for stranger in strangers:
            self.meet(stranger, friends[0])
            self.meet(friends[1], stranger)
        for server in (friends[0], *strangers):
            eventually(lambda s=server: "BAD_SECRET" in s.log(), "the refusal is said", 20)
        self.wait_value("visits", "1", *friends)
        for stranger in strangers:
            self.assertEqual(self.call(stranger, "GET", "visits"), "0")
        self.assertEqual(len(self.flags(friends[0])), 2)

    def test_d15_bytes_of_a_stranger_under_load(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED) as load:
            for garbage in (b"JTN1", b"JTN1" + bytes(5000), b"JTN1" + b"\xff" * 100_000,
                            bytes(range(256)) * 10, b"JTN1\x01" * 1000):
                for server in servers:
                    with server.client() as client:
                        try:
                            client.send_raw(garbage)
                        except OSError:
                            pass
            load.wait_operations(50)
        self.wait_ledger(load.ledger, *servers)
        self.wait_linked(*servers)


class BigDataTest(ClusterTest):
    def fill(self, server: Server) -> None:
        with server.client() as client:
            for start in range(0, BIG_COUNTERS, BATCH):
                client.pipeline([("INCRBY", f"counter:{i}", i + 1) for i in range(start, start + BATCH)])
            for tree in range(BIG_TREES):
                client.pipeline([("TREE.INCRBY", f"tree:{tree}", f"leaf:{i}", i + 1)
                                 for i in range(BIG_BUCKETS)])

    def ready(self, server: Server) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=10) as page:
                return page.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def test_a_new_node_copies_everything_while_the_others_serve(self) -> None:
        servers = self.cluster(2)
        self.fill(servers[0])
        with Load(servers, seed=SEED) as load:
            load.wait_operations(20)
            # What is left of frames does not suffice: a state has to be copied.
            for server in servers:
                server.stop()
                server.start()
            fresh = self.prepare("--join", f"127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}")
            fresh.start(wait=False)
            served = load.ledger.count()
            copying = []

            def joined() -> bool:
                try:
                    copying.append(fresh.info("cluster").get("cluster_copying_state"))
                except (OSError, EOFError, ReplyError):
                    pass
                return self.ready(fresh)
            self.poll(joined, "the new node is ready", [*servers, fresh])
            # Ready means: all that was there is here.
            with fresh.client() as client:
                some = range(0, BIG_COUNTERS, 997)
                self.assertEqual(client.pipeline([("GET", f"counter:{i}") for i in some]),
                                 [str(i + 1) for i in some])
            self.assertIn("1", copying, "INFO never told of the copying")
            self.assertGreater(load.ledger.count(), served, "the others did not serve")
            load.wait_operations(20)
        self.wait_ledger(load.ledger, *servers, fresh)
        self.assertEqual(self.values(fresh, ["tree:49/leaf:199"]), (200,))
        self.wait_linked(*servers, fresh)
        fresh.stop()
        fresh.start()
        self.wait_linked(*servers, fresh)
        self.wait_ledger(load.ledger, *servers, fresh)
        self.assertEqual(self.call(fresh, "GET", f"counter:{BIG_COUNTERS - 1}"), str(BIG_COUNTERS))


class ValuesTest(ClusterTest):
    def test_d09_concurrent_sets_of_the_same_value(self) -> None:
        servers = self.three()
        for i in range(20):
            name = f"set:{i}"
            self.call(servers[0], "INCRBY", name, 5)
            self.wait_value(name, "5", *servers)
            start = threading.Barrier(3)

            def put(server: Server) -> None:
                with server.client() as client:
                    start.wait(10)
                    client.call("SET", name, 10)
            threads = [threading.Thread(target=put, args=(server,)) for server in servers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            self.wait_value(name, "10", *servers)

    def test_d16_a_delete_stays_although_a_node_was_away(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCRBY", "gone", 5)
        self.wait_value("gone", "5", *servers)
        servers[2].kill()
        self.call(servers[1], "DEL", "gone")
        self.wait_value("gone", "0", *servers[:2])
        servers[2].start()
        self.wait_value("gone", "0", *servers)
        self.call(servers[2], "INCRBY", "gone", 2)
        self.wait_value("gone", "2", *servers)

    def test_d27_zero_counters_disappear_everywhere_and_stay_away(self) -> None:
        servers = self.three()
        names = [f"zero:{i}" for i in range(20)]
        for server, amount in zip(servers, (5, 3, -8)):
            with server.client() as client:
                client.pipeline([("INCRBY", name, amount) for name in names])
        self.call(servers[0], "INCR", "stays")

        def gone() -> bool:
            return all(self.call(server, "EXISTS", name) == 0 for server in servers for name in names)
        self.poll(gone, "the zero counters are gone", servers)
        servers[1].kill()
        servers[1].start()
        self.wait_linked(*servers)
        self.poll(gone, "the zero counters stay away", servers)
        self.wait_value("stays", "1", *servers)
        # A living increment is not taken along.
        self.call(servers[1], "INCRBY", names[0], 4)
        self.wait_value(names[0], "4", *servers)

    def test_d12_state_while_a_node_is_down_and_back(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCR", "hot")
        self.wait_state("CONSISTENT", *servers)
        servers[1].kill()
        self.wait_state("INCONSISTENT", servers[0], servers[2])
        bounds = self.call(servers[0], "GET", "hot", "BOUNDS")
        self.assertEqual(str(bounds[0]), "1", bounds)
        servers[1].start()
        self.wait_state("CONSISTENT", *servers)


if __name__ == "__main__":
    harness.main()
