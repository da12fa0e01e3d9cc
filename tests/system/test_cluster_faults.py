"""Nodes that are killed, stopped, out of disk, copied and set back, while clients count.

TEST_SEED chooses the victims and the moments.
"""

import os
import random
import shutil
import signal
import subprocess
import time

from pathlib import Path

import harness
from cluster_harness import NODE_TIMEOUT_MS, ClusterTest, Ledger, Load
from harness import Client, ReplyError, eventually

SEED = int(os.environ.get("TEST_SEED", "1"))
KILLS_OF_THREE = 8
KILLS_OF_FIVE = 6


class KilledNodesTest(ClusterTest):
    def kill_and_restart(self, servers: list, kills: int, load: Load) -> None:
        chance = random.Random(SEED)
        for _ in range(kills):
            load.wait_operations(chance.randrange(20, 300))
            victim = chance.choice(servers)
            victim.kill()
            if chance.random() < 0.3:
                other = chance.choice(servers)
                other.kill()
                other.start()
            if victim.alive():
                continue
            if chance.random() < 0.5:
                load.wait_operations(chance.randrange(20, 200))
            victim.start()

    def test_d01_d02_d19_kill9_of_three_under_load(self) -> None:
        servers = self.three()
        with Load(servers, roam=True, seed=SEED, session_operations=100) as load:
            self.kill_and_restart(servers, KILLS_OF_THREE, load)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)

    def test_d01_d02_d19_kill9_of_five_under_load(self) -> None:
        servers = self.cluster(5)
        with Load(servers, writers=10, seed=SEED) as load:
            self.kill_and_restart(servers, KILLS_OF_FIVE, load)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)
        self.wait_state("CONSISTENT", *servers)

    def test_d19_all_nodes_are_killed_at_once(self) -> None:
        servers = self.three()
        ledger = Ledger()
        for round_number in range(3):
            with Load(servers, seed=SEED + round_number, ledger=ledger) as load:
                # Amounts of all rounds differ.
                for writer in load.writers:
                    writer.next_amount += round_number * 100_000
                load.wait_operations(200)
                for server in servers:
                    server.kill()
            for server in servers:
                server.start(wait=False)
            for server in servers:
                server.wait_ready()
        self.wait_linked(*servers)
        self.wait_ledger(ledger, *servers)

    def test_wait_is_truthful_when_the_writer_dies(self) -> None:
        servers = self.three()
        with Load(servers, writers=4, seed=SEED):
            for i in range(5):
                with servers[0].client() as client:
                    # Many, so that frames are cut in between.
                    replies = client.pipeline([("INCR", f"waited{i}")] * 500 + [("WAIT", 2, 20_000)])
                    self.assertEqual(replies[-1], 2)
                    servers[0].kill()
                for other in servers[1:]:
                    self.assertEqual(self.call(other, "GET", f"waited{i}"), "500")
                servers[0].start()
                self.wait_linked(*servers)

    def test_rolling_restart_under_load(self) -> None:
        servers = self.three()
        with Load(servers, roam=True, seed=SEED, session_operations=50) as load:
            for _ in range(2):
                for server in servers:
                    load.wait_operations(100)
                    self.assertEqual(server.stop(), 0)
                    server.start()
                    self.wait_linked(*servers)
            connections = [writer.connections for writer in load.writers]
            eventually(lambda: all(writer.connections > before + 1 for writer, before
                                   in zip(load.writers, connections)),
                       "every client gets on")
        self.wait_ledger(load.ledger, *servers)
        # Whoever has got its reply was told the truth; who has not is a client of a stopping node.
        self.assertLessEqual(sum(map(len, load.ledger.unknown.values())), 6 * len(load.writers))


class StoppedNodesTest(ClusterTest):
    def test_d12_a_stopped_node_is_noticed_and_catches_up(self) -> None:
        servers = self.three()
        stopped = servers[2]
        with Load(servers[:2], seed=SEED) as load, Load([stopped], writers=2, seed=SEED + 1,
                                                        names=["cold"], own="other") as other:
            load.wait_operations(50)
            self.wait_state("CONSISTENT", *servers)
            stopped.send_signal(signal.SIGSTOP)
            try:
                begin = time.monotonic()
                self.wait_state("INCONSISTENT", *servers[:2])
                dead = next(node for node, flags in self.flags(servers[0]).items()
                            if node not in {self.id_of(s) for s in servers[:2]})
                eventually(lambda: "fail" in self.flags(servers[0])[dead], "the node is suspected", 20)
                self.assertGreaterEqual(time.monotonic() - begin, NODE_TIMEOUT_MS / 1000 / 2)
                load.wait_operations(200)
            finally:
                stopped.send_signal(signal.SIGCONT)
            self.wait_linked(*servers)
            other.wait_operations(20)
        self.wait_ledger(load.ledger, *servers)
        self.wait_ledger(other.ledger, *servers)
        self.wait_state("CONSISTENT", *servers)

    def test_all_are_stopped_one_after_the_other(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED, reply_seconds=20) as load:
            for server in servers:
                load.wait_operations(50)
                server.send_signal(signal.SIGSTOP)
                try:
                    others = [s for s in servers if s is not server]
                    self.wait_state("INCONSISTENT", *others)
                    gone = set(self.flags(others[0])) - {self.id_of(s) for s in others}
                    eventually(lambda: all("fail" in self.flags(others[0])[g] for g in gone),
                               "the node is suspected", 20)
                finally:
                    server.send_signal(signal.SIGCONT)
        self.wait_linked(*servers)
        self.wait_ledger(load.ledger, *servers)




class FullDiskTest(ClusterTest):
    def tmpfs(self, size: str) -> Path:
        folder = self.folder / "small"
        folder.mkdir()
        if os.geteuid() != 0:
            self.skipTest("mounting a small tmpfs needs root")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"no tmpfs here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)], check=False)
        return folder

    def test_a_full_disk_on_one_node(self) -> None:
        small = self.tmpfs("48m")
        servers = [self.node(), self.node(), self.node("--log-segment-size", "1mb", data=small / "data")]
        self.meet(servers[0], servers[1])
        self.meet(servers[0], servers[2])
        self.wait_linked(*servers)
        with Load(servers, seed=SEED) as load:
            load.wait_operations(100)
            filler = small / "filler"
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 4096)
                except OSError:
                    pass
            # The others write more than what is left there.
            with servers[0].client() as client:
                for i in range(30):
                    client.pipeline([("INCR", f"filler:{i}:{j}:{'x' * 100}") for j in range(500)])
            with servers[2].client() as client:
                def refused() -> bool:
                    try:
                        client.call("INCRBY", "own:full", 1)
                        load.ledger.acknowledge("own:full", 1)
                        return False
                    except ReplyError:
                        return True
                eventually(refused, "the full node refuses writes", 30)
                # It still answers reads.
                client.call("GET", "hot")
            self.assertTrue(servers[2].alive(), servers[2].log()[-2000:])
            load.wait_operations(100)
            filler.unlink()
            eventually(lambda: self.accepts(servers[2]), "the disk has room again", 30)
            load.wait_operations(50)
        self.wait_ledger(load.ledger, *servers)
        self.wait_value("filler:29:499:" + "x" * 100, "1", *servers)

    def accepts(self, server: harness.Server) -> bool:
        try:
            self.call(server, "INCR", "probe")
            return True
        except ReplyError:
            return False


class OldDataTest(ClusterTest):
    def copy(self, server: harness.Server, name: str) -> Path:
        target = self.folder / name
        shutil.copytree(server.data, target)
        return target

    def restore(self, server: harness.Server, copy: Path) -> None:
        shutil.rmtree(server.data)
        shutil.copytree(copy, server.data)

    def test_d01_a_node_comes_back_with_an_old_copy(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(200)
            # Copied while it is being written: as a backup tool would, without asking.
            servers[2].kill()
            old = self.copy(servers[2], "old")
            servers[2].start()
            load.wait_operations(300)
        with servers[2].client() as client:
            client.call("INCRBY", "own:last", 5)
            load.ledger.acknowledge("own:last", 5)
            self.assertEqual(client.call("WAIT", 2, 20_000), 2)
        for _ in range(2):
            servers[2].kill()
            self.restore(servers[2], old)
            servers[2].start()
            with servers[2].client() as client:
                self.poll(lambda: self.counted(client, load.ledger), "it takes writes", servers)
            self.wait_linked(*servers)
            self.wait_ledger(load.ledger, *servers)

    def counted(self, client: Client, ledger: Ledger) -> bool:
        try:
            client.call("INCRBY", "hot", 1)
        except ReplyError:
            return False
        ledger.acknowledge("hot", 1)
        return True

    def test_d01_all_nodes_but_one_lose_their_disks(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(200)
        self.wait_ledger(load.ledger, *servers)
        for server in servers[1:]:
            server.kill()
            shutil.rmtree(server.data)
        for i, server in enumerate(servers[1:]):
            server.start("--join", f"127.0.0.1:{servers[0].port}")
            self.poll(lambda s=server: self.has(s, load.ledger), "the data is back", servers[:1])
        self.wait_ledger(load.ledger, *servers)

    def has(self, server: harness.Server, ledger: Ledger) -> bool:
        try:
            return self.values(server, ["hot"])[0] in ledger.allowed("hot")
        except ReplyError:
            return False

    def test_d14_two_clones_of_one_data_directory(self) -> None:
        servers = self.three()
        with Load(servers, seed=SEED) as load:
            load.wait_operations(100)
        self.wait_ledger(load.ledger, *servers)
        servers[2].kill()
        copy = self.copy(servers[2], "clone")
        servers[2].start()
        clone = self.node(data=copy)
        # Both count before anybody notices.
        for server, amount in ((servers[2], 1000), (clone, 7)):
            with server.client() as client:
                for _ in range(3):
                    self.poll(lambda c=client, n=amount: c.call("INCRBY", "hot", n),
                              "it takes writes", [server])
                    load.ledger.acknowledge("hot", amount)

        def alarmed() -> bool:
            return any("clone" in str(s.info("cluster")).lower() or "copied data" in s.log()
                       for s in [*servers, clone])
        self.poll(alarmed, "the alarm", [*servers, clone])
        # One of the two is heard, the other one is refused. What it has counted meanwhile is on its
        # disk, and comes when it is the only one; nothing is counted twice.
        ids = {self.id_of(server) for server in servers}
        for gone, alone in ((servers[2], clone), (clone, servers[2])):
            gone.stop()
            if not alone.alive():
                alone.start()
            self.wait_linked(*servers[:2], alone)
            self.assertEqual({self.id_of(s) for s in (*servers[:2], alone)}, ids)
        self.wait_ledger(load.ledger, *servers)


if __name__ == "__main__":
    harness.main()
