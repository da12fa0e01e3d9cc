"""Nodes that were forgotten and come back: what only they have counted is there afterwards, once."""

import os
import signal
from typing import List, Sequence

import harness
from cluster_harness import ClusterTest, Load
from harness import Server, eventually

SEED = int(os.environ.get("TEST_SEED", "1"))
MANY = 20_000
BATCH = 2_000


class RejoinTest(ClusterTest):
    def is_back(self, server: Server, before: str) -> bool:
        """It is another member than `before`, and nothing of its former life is left to be added."""
        if not server.alive() or list(server.data.glob("*.left")):
            return False
        try:
            info = server.info("cluster")
        except (OSError, EOFError):
            return False
        if info.get("cluster_node_id") == before:
            return False
        return info.get("cluster_rejoin") == "none" and info.get("cluster_copying_state") == "0"

    def wait_back(self, server: Server, before: str, *others: Server) -> None:
        self.poll(lambda: self.is_back(server, before), "the node is a member again",
                  [server, *others])

    def forget(self, node: str, server: Server, *all_of_them: Server) -> None:
        self.poll(lambda: node in self.flags(server), "it is known", [server])
        self.assertEqual(self.call(server, "CLUSTER", "FORGET", node), "OK")
        self.poll(lambda: all(self.flags(s).get(node, "forgotten") == "forgotten"
                              for s in all_of_them), "it is forgotten", all_of_them)

    def count_alone(self, server: Server, load: Load, seed: int, operations: int = 300) -> None:
        with Load([server], seed=seed, ledger=load.ledger, own=f"alone{seed}") as alone:
            alone.wait_operations(operations)

    def begin(self, *flags: harness.Word) -> "tuple[List[Server], Load]":
        servers = self.cluster(3, *flags)
        with Load(servers, seed=SEED) as load:
            load.wait_operations(300)
        self.wait_ledger(load.ledger, *servers)
        return servers, load

    def stop_all(self, servers: Sequence[Server]) -> None:
        for server in servers:
            server.kill()

    def test_what_only_a_forgotten_node_has_is_added_when_it_returns(self) -> None:
        servers, load = self.begin()
        others, lonely = servers[:2], servers[2]
        before = self.id_of(lonely)
        self.stop_all(others)
        self.count_alone(lonely, load, 11)
        # Over a snapshot, another run, and one more snapshot.
        self.assertEqual(self.call(lonely, "SAVE"), "OK")
        self.count_alone(lonely, load, 12)
        lonely.kill()
        lonely.start()
        self.count_alone(lonely, load, 13)
        self.assertEqual(self.call(lonely, "SAVE"), "OK")
        self.assertEqual(self.call(lonely, "SAVE"), "OK")
        self.count_alone(lonely, load, 14)
        lonely.kill()
        for server in others:
            server.start()
        with Load(others, seed=SEED + 1, ledger=load.ledger, own="later") as later:
            later.wait_operations(50)
            self.forget(before, others[0], *others)
            later.wait_operations(100)
            lonely.start(wait=False)
            self.wait_back(lonely, before, *others)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)
        info = lonely.info("cluster")
        self.assertGreater(int(info["cluster_reinjected_counters"]), 0)
        self.assertEqual(info["cluster_alarms"], "0", info)
        # It is an ordinary member: it counts, starts again, and nothing is added twice.
        with Load(servers, seed=SEED + 2, ledger=load.ledger, own="after") as after:
            after.wait_operations(100)
        lonely.stop()
        lonely.start()
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)

    def test_a_stopped_node_that_was_forgotten(self) -> None:
        servers, load = self.begin()
        stopped = servers[2]
        before = self.id_of(stopped)
        with Load(servers, seed=SEED + 1, ledger=load.ledger, own="while") as during:
            during.wait_operations(50)
            stopped.send_signal(signal.SIGSTOP)
            self.forget(before, servers[0], *servers[:2])
            stopped.send_signal(signal.SIGCONT)
            self.wait_back(stopped, before, *servers[:2])
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)

    def test_killed_at_every_step_of_its_return(self) -> None:
        servers, load = self.begin()
        others, lonely = servers[:2], servers[2]
        before = self.id_of(lonely)
        self.stop_all(others)
        with lonely.client() as client:
            for first in range(0, MANY, BATCH):
                client.pipeline([("INCRBY", f"many:{i}", 3)
                                 for i in range(first, first + BATCH)])
        lonely.kill()
        for server in others:
            server.start()
        self.forget(before, others[0], *others)
        for sign in ("starts again to join", "joins the others as a new member",
                     "belongs to cluster", "everything that the others had"):
            start = len(lonely.log())
            lonely.start(wait=False)
            eventually(lambda: sign in lonely.log()[start:] or self.is_back(lonely, before), sign, 30)
            lonely.kill()
        # Then while it adds; how far it gets is the machine's choice.
        for cells in (1, 4000, 9000):
            lonely.start(wait=False)

            def adds() -> bool:
                try:
                    info = lonely.info("cluster")
                except (OSError, EOFError):
                    return False
                return int(info.get("cluster_reinjected_counters", 0)) >= cells
            eventually(adds, f"{cells} are added", 30)
            lonely.kill()
        lonely.start(wait=False)
        self.wait_back(lonely, before, *others)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)

        def sums() -> list:
            seen = []
            for server in servers:
                with server.client() as client:
                    seen.append(sum(int(reply) for first in range(0, MANY, BATCH) for reply in
                                    client.pipeline([("GET", f"many:{i}")
                                                     for i in range(first, first + BATCH)])))
            return seen
        self.poll(lambda: sums() == [3 * MANY] * 3, f"{3 * MANY} on all", servers)

    def test_forgotten_once_more_before_it_has_added_anything(self) -> None:
        servers, load = self.begin()
        others, lonely = servers[:2], servers[2]
        first = self.id_of(lonely)
        self.stop_all(others)
        self.count_alone(lonely, load, 15)
        lonely.kill()
        for server in others:
            server.start()
        self.forget(first, others[0], *others)
        # Without the other one it is not certain what there is to add.
        others[1].send_signal(signal.SIGSTOP)
        lonely.start(wait=False)

        def waits_as_another_than(before: str) -> bool:
            try:
                info = lonely.info("cluster")
            except (OSError, EOFError):
                return False
            return info.get("cluster_rejoin") == "waiting" and info["cluster_node_id"] != before
        self.poll(lambda: waits_as_another_than(first), "it has joined", [lonely, others[0]])
        second = self.id_of(lonely)
        self.forget(second, others[0], others[0])
        self.poll(lambda: waits_as_another_than(second), "it has joined again",
                  [lonely, others[0]])
        others[1].send_signal(signal.SIGCONT)
        self.wait_back(lonely, second, *others)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)
        self.assertEqual(lonely.info("cluster")["cluster_alarms"], "0")

    def split(self, load: Load, servers: List[Server]) -> None:
        """Two and one, each side counts and forgets the other."""
        two, one = servers[:2], servers[2]
        ids = [self.id_of(server) for server in servers]
        one.kill()
        self.count_alone(two[0], load, 21)
        self.count_alone(two[1], load, 22)
        self.wait_ledger(load.ledger, *two)
        self.forget(ids[2], two[0], *two)
        self.count_alone(two[1], load, 23)
        self.stop_all(two)
        one.start()
        for node in ids[:2]:
            self.forget(node, one, one)
        self.count_alone(one, load, 24)
        for server in two:
            server.start()

    def test_both_sides_of_a_split_forget_each_other(self) -> None:
        for asks in (2, 0):
            with self.subTest(asks=asks):
                servers, load = self.begin()
                self.split(load, servers)
                before = {server: self.id_of(server) for server in servers}
                answers = servers[0] if asks == 2 else servers[2]
                self.meet(servers[asks], answers)
                # Of a side of two, the other one follows by itself.
                for server in servers[:2] if asks == 0 else servers[2:]:
                    self.wait_back(server, before[server], *servers)
                self.wait_linked(*servers)
                self.wait_ledger(load.ledger, *servers)
                self.stop_all(servers)

    def test_manual(self) -> None:
        servers, load = self.begin("--rejoin", "manual")
        others, lonely = servers[:2], servers[2]
        before = self.id_of(lonely)
        self.stop_all(others)
        self.call(lonely, "INCRBY", "mine", 40)
        self.call(lonely, "INCRBY", "hot", 2)
        load.ledger.acknowledge("mine", 40)
        load.ledger.acknowledge("hot", 2)
        lonely.kill()
        for server in others:
            server.start()
        self.forget(before, others[0], *others)
        lonely.start()

        def alarmed() -> bool:
            return any("2 counters, to which it has added 42 in all" in text
                       for text in lonely.info("cluster").values())
        self.poll(alarmed, "the alarm says what is at stake", [lonely])
        self.assertEqual(self.call(lonely, "CONFIG", "SET", "rejoin", "auto"), "OK")
        self.wait_back(lonely, before, *others)
        self.wait_ledger(load.ledger, *servers)


if __name__ == "__main__":
    harness.main()
