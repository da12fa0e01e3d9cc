"""The load generator and the do-nothing server: what was sent is what arrived."""

import json
import subprocess
import unittest
from typing import List

import harness

# The server of bench/ is built beside the binary that is tested.
CEILING = harness.BINARY.with_name("ceiling")


def bench(port: int, *words: harness.Word) -> "dict":
    command: List[str] = [str(harness.BINARY), "bench", "--json", "--port", str(port)]
    done = subprocess.run([*command, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=60)
    return json.loads(done.stdout)


class BenchTest(harness.SystemTest):
    def setUp(self) -> None:
        super().setUp()
        self.running = self.server("--threads", 1, "--fsync", "no", "--zero-counters", "keep")

    def total(self, *command: harness.Word) -> int:
        with self.running.client() as client:
            client.call("HELLO", "3")
            return sum(int(value or 0) for value in client.call(*command))

    def counters(self, keys: int) -> List[str]:
        return [f"articles:{index:08}" for index in range(keys)]

    def test_every_increment_of_a_timed_run_arrives(self) -> None:
        figures = bench(self.running.port, "incr", "--seconds", 0.2, "--warmup", 0.05, "--keys", 100,
                        "--pipeline", 16, "--connections", 7, "--threads", 2)
        self.assertEqual(figures["errors"], 0)
        self.assertGreater(figures["measured"], 0)
        self.assertGreaterEqual(figures["sent"], figures["measured"])
        self.assertEqual(self.total("MGET", *self.counters(100)), figures["sent"])

    def test_a_number_of_requests_is_kept_exactly(self) -> None:
        for distribution in ("uniform", "zipf", "hot", "sequential"):
            with self.subTest(distribution):
                before = self.total("MGET", *self.counters(50))
                figures = bench(self.running.port, "--requests", 1003, "--pipeline", 10, "--keys", 50,
                                "--distribution", distribution)
                self.assertEqual((figures["sent"], figures["measured"]), (1003, 1003))
                self.assertEqual(self.total("MGET", *self.counters(50)) - before, 1003)

    def test_karma_increments_arrive_in_the_tree(self) -> None:
        figures = bench(self.running.port, "--protocol", "karma", "--seconds", 0.2, "--keys", 10,
                        "--pipeline", 16)
        self.assertEqual(figures["errors"], 0)
        keys = range(10, 20)  # numbers of one length
        self.assertEqual(self.total("TREE.MSUM", "bench", "KEYS", *keys), figures["sent"])

    def test_trees_reads_and_mixes_answer_without_errors(self) -> None:
        common = ("--requests", 400, "--keys", 1000, "--pipeline", 4, "--items", 20)
        for words in (["mincrby", "--key-format", "%d"], ["msum", "--key-format", "%d"], ["set"],
                      ["get"], ["mget"], ["INCRBY %key% 5"], ["incr", "--read-ratio", 0.5],
                      ["incr", "--rate", 20000], ["incr", "--hello", 3]):
            with self.subTest(words):
                figures = bench(self.running.port, *words, *common)
                self.assertEqual((figures["sent"], figures["errors"]), (400, 0))

    def test_error_replies_are_counted(self) -> None:
        figures = bench(self.running.port, "NONSENSE %key%", "--requests", 5000, "--pipeline", 50)
        self.assertEqual((figures["sent"], figures["errors"]), (5000, 5000))
        self.assertIn("unknown command", figures["first_error"])

    def test_an_open_loop_counts_latencies_from_when_commands_were_due(self) -> None:
        # One connection answers far fewer than a million a second: the last command that is
        # answered was due long before. Had it counted from its write, it would be quick.
        common = ("--seconds", 0.4, "--connections", 1)
        late = bench(self.running.port, "--rate", 1_000_000, *common)
        self.assertGreater(late["max_us"], 200_000)
        self.assertGreater(late["p50_us"], 5 * bench(self.running.port, *common)["p50_us"])

    @unittest.skipUnless(CEILING.exists(), "the benchmarks are not built")
    def test_the_ceiling_answers_every_command_in_each_protocol(self) -> None:
        ceiling = subprocess.Popen([str(CEILING)], stdout=subprocess.PIPE, text=True)
        try:
            assert ceiling.stdout is not None
            port = int(ceiling.stdout.readline())
            for words in (["incr"], ["mget"], ["--protocol", "karma"], ["--protocol", "memcached"]):
                with self.subTest(words):
                    figures = bench(port, *words, "--requests", 20_000, "--pipeline", 64,
                                    "--server-pid", ceiling.pid)
                    self.assertEqual((figures["sent"], figures["errors"]), (20_000, 0))
                    self.assertGreaterEqual(figures["server_cpu_us"], 0)
        finally:
            ceiling.kill()
            ceiling.wait()
            ceiling.stdout.close()


if __name__ == "__main__":
    unittest.main()
