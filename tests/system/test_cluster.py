"""Several real servers on loopback that count together."""

import re
import signal
import time
import unittest
import urllib.request

import harness
from cluster_harness import ClusterTest, Load
from harness import ReplyError, eventually


class ClusterNodesTest(ClusterTest):
    def test_three_nodes_count_together(self) -> None:
        servers = self.three()
        for i, server in enumerate(servers):
            with server.client() as client:
                client.pipeline([("INCR", "visits")] * 100 + [("INCRBY", f"own{i}", 7)])
                client.call("TREE.INCRBY", "days", "page", 2)
        self.wait_value("visits", "300", *servers)
        for i in range(3):
            self.wait_value(f"own{i}", "7", *servers)
        for server in servers:
            eventually(lambda s=server: self.call(s, "TREE.SUM", "days", "page") in (6, "6"),
                       "the tree's sum")

    def test_hello_lists_all_nodes(self) -> None:
        servers = self.three()
        reply = self.call(servers[1], "HELLO")
        self.assertEqual(reply[0], 1)
        self.assertEqual({int(entry[2]) for entry in reply[2:]}, {s.port for s in servers})

    def test_set_is_seen_everywhere(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCRBY", "stock", 5)
        self.wait_value("stock", "5", *servers)
        self.call(servers[1], "SET", "stock", 40)
        self.wait_value("stock", "40", *servers)

    def test_wait_counts_the_nodes_that_hold_it(self) -> None:
        servers = self.three()
        with servers[0].client() as client:
            client.call("INCR", "visits")
            self.assertEqual(client.call("WAIT", 2, 10000), 2)
            servers[2].send_signal(signal.SIGSTOP)
            try:
                client.call("INCR", "visits")
                self.assertEqual(client.call("WAIT", 1, 20_000), 1)
                self.assertEqual(client.call("WAIT", 2, 300), 1)
            finally:
                servers[2].send_signal(signal.SIGCONT)
            self.assertEqual(client.call("WAIT", 2, 10000), 2)

    def test_d01_d02_d04_a_killed_node_comes_back_with_everything(self) -> None:
        servers = self.three()
        with servers[2].client() as client:
            client.pipeline([("INCR", "visits")] * 500)
            self.assertEqual(client.call("WAIT", 2, 10000), 2)
        servers[2].kill()
        self.wait_value("visits", "500", *servers[:2])
        eventually(lambda: self.call(servers[0], "GET", "visits", "STATE")[1] == "INCONSISTENT",
                   "the loss of a node is noticed")
        with servers[0].client() as client:
            client.pipeline([("INCR", "visits")] * 100)
        servers[2].start()
        self.wait_linked(*servers)
        self.wait_value("visits", "600", *servers)
        eventually(lambda: self.call(servers[0], "GET", "visits", "STATE")[1] == "CONSISTENT",
                   "all is known again")

    def test_a_node_that_lost_its_disk_copies_everything(self) -> None:
        servers = self.three()
        for server in servers:
            with server.client() as client:
                client.pipeline([("INCR", f"c{i}") for i in range(200)])
        self.wait_value("c199", "3", *servers)
        fresh = self.node("--join", f"127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}")
        self.wait_linked(*servers, fresh)
        self.wait_value("c0", "3", fresh)
        self.wait_value("c199", "3", fresh)
        eventually(fresh.readyz, "the new node is ready")

    def test_both_sides_of_a_long_split_get_what_they_lack(self) -> None:
        """Each side has changed far more than the ring holds, so that neither can copy the other's state."""
        keys, rounds = 40_000, 8
        flags = ("--cluster-ring-size", "1mb", "--cluster-frame-interval", 1)
        servers = [self.node(*flags) for _ in range(3)]
        self.meet(servers[0], servers[1])
        self.meet(servers[0], servers[2])
        self.wait_linked(*servers)
        self.call(servers[0], "INCR", "begun")
        self.wait_value("begun", "1", *servers)

        def count(server: harness.Server) -> None:
            with server.client() as client:
                for _ in range(rounds):
                    for start in range(0, keys, 10_000):
                        client.pipeline([("INCR", f"k{i}") for i in range(start, start + 10_000)])
        lonely, others = servers[2], servers[:2]
        for server in others:
            server.kill()
        count(lonely)
        self.call(lonely, "SET", "decided", 42)
        lonely.kill()
        for server in others:
            server.start()
        count(others[0])
        self.wait_value(f"k{keys - 1}", str(rounds), *others)
        lonely.start()
        self.wait_linked(*servers)
        for i in (0, 1, keys // 2, keys - 1):
            self.wait_value(f"k{i}", str(2 * rounds), *servers)
        self.wait_value("decided", "42", *servers)
        eventually(lambda: self.call(servers[0], "GET", "begun", "STATE")[1] == "CONSISTENT",
                   "all is known again")

    def test_snapshots_while_all_count(self) -> None:
        """A snapshot cuts a frame on another thread than the one that talks with the others."""
        servers = self.three()
        with Load(servers) as load:
            for _ in range(20):
                for server in servers:
                    self.assertEqual(self.call(server, "SAVE"), "OK")
                load.wait_operations(20)
        self.wait_ledger(load.ledger, *servers)
        servers[0].kill()
        servers[0].start()
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)

    def test_join_by_a_flag(self) -> None:
        first = self.node()
        self.call(first, "INCRBY", "visits", 3)
        second = self.node("--join", f"127.0.0.1:{first.port}")
        self.wait_linked(first, second)
        self.wait_value("visits", "3", first, second)
        # The flag stays on the command line: a restart with it is no harm.
        second.stop()
        second.start()
        self.wait_linked(first, second)

    def test_the_secret_keeps_strangers_out(self) -> None:
        first = self.node("--cluster-secret", "right")
        stranger = self.node("--cluster-secret", "wrong")
        self.call(first, "INCR", "visits")
        self.meet(stranger, first)
        friend = self.node("--cluster-secret", "right")
        self.meet(friend, first)
        self.wait_linked(first, friend)
        self.assertEqual(self.call(stranger, "GET", "visits"), "0")
        self.assertEqual(len(self.flags(first)), 2)
        self.assertEqual(self.call(first, "CONFIG", "GET", "cluster-secret")[1], "(hidden)")

    def test_d15_bytes_of_a_stranger_change_nothing(self) -> None:
        servers = self.three()
        self.call(servers[0], "INCRBY", "visits", 9)
        for garbage in (b"JTN1", b"JTN1" + bytes(20), b"JTN1" + b"\xff" * 4096, b"JTN1\x06" * 100):
            with servers[0].client() as client:
                client.send_raw(garbage)
        self.wait_value("visits", "9", *servers)
        self.assertTrue(all(server.alive() for server in servers))

    def test_the_first_bytes_of_a_node_may_come_one_by_one(self) -> None:
        server = self.node()
        with server.client() as client:
            for byte in (b"J", b"T", b"N"):
                client.send_raw(byte)
            client.send_raw(b"1" + b"\xff" * 20)
            self.assertEqual(client.read_all(), b"")
        # What only begins like a node is a client.
        with server.client() as client:
            client.send_raw(b"JTN\r\n")
            self.assertIsInstance(client.read(), ReplyError)

    def test_wait_of_a_lone_node_lasts_its_time(self) -> None:
        server = self.node()
        with server.client() as client:
            client.call("INCR", "visits")
            start = time.monotonic()
            self.assertEqual(client.call("WAIT", 1, 150), 0)
            self.assertGreaterEqual(time.monotonic() - start, 0.15)
            self.assertEqual(client.call("WAIT", 0, 0), 0)
            # Others are served while one waits, and it itself can be killed.
            client.send("WAIT", 1, 0)
            with server.client() as other:
                other.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            self.assertEqual(client.read_all(), b"")

    def test_d05_a_dead_node_can_be_forgotten(self) -> None:
        servers = self.three()
        with servers[2].client() as client:
            dead = client.call("CLUSTER", "MYID")
            client.pipeline([("INCR", "visits")] * 50)
            self.assertEqual(client.call("WAIT", 2, 10000), 2)
        servers[2].kill()
        self.assertEqual(self.call(servers[0], "CLUSTER", "FORGET", dead), "OK")
        eventually(lambda: all(self.flags(s).get(dead, "forgotten") == "forgotten"
                               for s in servers[:2]), "the dead node is forgotten")
        self.wait_value("visits", "50", *servers[:2])
        self.call(servers[1], "INCR", "visits")
        self.wait_value("visits", "51", *servers[:2])

    def test_metrics_and_info_tell_of_each_peer(self) -> None:
        servers = self.three()
        info = servers[0].info("cluster")
        self.assertEqual(info["cluster_known_nodes"], "3")
        self.assertIn("link=up", info["node0"])
        with urllib.request.urlopen(f"http://127.0.0.1:{servers[0].port}/metrics") as page:
            text = page.read().decode()
        self.assertEqual(len(re.findall(r'^jeton_peer_up\{node="[0-9a-f]{40}"\} 1$', text, re.M)), 2)
        self.assertIn("jeton_cluster_nodes 3\n", text)
        # A peer is no client.
        self.assertLessEqual(int(servers[0].info("clients")["connected_clients"]), 2)


if __name__ == "__main__":
    harness.main()
