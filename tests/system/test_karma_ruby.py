"""Karma's clients work unchanged: its README line by line, its dumps, and moving from it."""

import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, List, Optional

import harness

CLIENT = Path(__file__).resolve().parents[1] / "clients" / "karma_client.rb"


def days(first: int, last: int, **more: Any) -> Any:
    return {"time_from": first, "time_to": last, **more}


class KarmaTest(harness.SystemTest):
    def ruby(self, version: str, port: int, *calls: Any, token: Optional[str] = None) -> List[Any]:
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        if token:
            environment["KARMA_TOKEN"] = token
        lines = "".join(json.dumps(call if isinstance(call, list) else [call]) + "\n" for call in calls)
        done = subprocess.run(["ruby", str(CLIENT), version, "127.0.0.1", str(port)], input=lines,
                              text=True, timeout=60, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        return [json.loads(line)[1] for line in done.stdout.splitlines()]

    def today(self) -> str:
        return time.strftime("%Y%m%d", time.gmtime())

    def test_the_readme_of_release_0_1(self) -> None:
        port = harness.free_port()
        server = self.server("--karma-port", port)
        before = self.today()
        replies = self.ruby(
            "v1", port, "ping", ["create", "articles"], ["create", "articles"], "trees", ["use", "articles"],
            ["increment", {"key": 12345}], ["increment", {"key": 12345}], ["decrement", {"key": 12345}],
            ["sum", {"key": 12345}], ["find", days(19700101, 99991231, key=12345)],
            ["sum", days(19700101, 20000101, key=12345)], ["find", days(19700101, 99991231)],
            ["delete", days(19700101, 99991231, key=12345)], ["sum", {"key": 12345}],
            ["increment", {"key": 7}], ["reset", {"key": 7}], ["reset", {}], ["find", days(1, 99999999)],
            ["drop", "articles"], ["drop", "articles"])
        today = self.today()
        if before != today:
            self.skipTest("midnight came in between")
        self.assertEqual(replies, [
            "pong", "OK", "OK", ["articles"], 1, 1, 1, 1, {today: 1}, 0, {"12345": {today: 1}}, True, 0,
            1, "OK", "OK", {}, "OK", 'ERROR Tree "articles" not exists'])
        self.assertEqual(self.ruby("v1", server.port, "ping"), ["pong"])

    def test_dumps_move_between_servers(self) -> None:
        server = self.server()
        saved = self.ruby("v1", server.port, ["use", "with_underscore"], ["increment", {"key": 5}],
                          ["dump", "with_underscore"], "dumps")
        self.assertEqual(saved[1], 'Tree "with_underscore" saved')
        name = saved[2][0]
        self.assertRegex(name, r"^\d{10}_with_underscore\.tree$")
        loaded = self.ruby("v1", server.port, ["use", "with_underscore"], ["increment", {"key": 5}],
                           ["load", name], ["sum", {"key": 5}], ["load", "../" + name])
        self.assertEqual(loaded[:3], [1, 'Tree "with_underscore" loaded', 1])
        self.assertIn("ERROR", loaded[3])

    def test_moving_from_karma_is_stopping_one_and_starting_the_other(self) -> None:
        first = self.server()
        self.ruby("v1", first.port, ["use", "a"], ["increment", {"key": 5}], ["dump", "a"],
                  ["increment", {"key": 5}], ["use", "b"], ["increment", {"key": 6}], "dump_all")
        dumps = harness.eventually(
            lambda: [n for n in self.ruby("v1", first.port, "dumps")[0] if n.endswith("_b.tree")],
            "dump_all has written the last tree")
        self.assertEqual(len(dumps), 1)
        folder = self.folder / "moved"
        folder.mkdir()
        for file in first.data.glob("*.tree"):
            shutil.copy(file, folder)
        second = self.server(data=folder, start=False)
        second.start()
        self.assertEqual(self.ruby("v1", second.port, "trees", ["use", "a"], ["sum", {"key": 5}],
                                   ["increment", {"key": 5}]), [["a", "b"], 2, 1])
        # The second start finds data of its own and leaves the dumps alone.
        second.kill()
        second.start()
        self.assertEqual(self.ruby("v1", second.port, ["use", "a"], ["sum", {"key": 5}]), [3])

    def test_signals_write_dumps(self) -> None:
        server = self.server()
        self.ruby("v1", server.port, ["use", "a"], ["increment", {"key": 5}])
        server.send_signal(signal.SIGUSR1)
        harness.eventually(lambda: len(self.ruby("v1", server.port, "dumps")[0]) == 1, "SIGUSR1 dumps")
        self.assertEqual(server.stop(signal.SIGINT), 0)
        self.assertEqual(len(list(server.data.glob("*_a.tree"))), 2)

    def test_the_client_of_release_1_0(self) -> None:
        server = self.server("--auth-token", "secret", "--read-auth-token", "look")
        calls = [
            ["system.ping", {}], ["tree.create", {"series": "links"}],
            ["counter.increment", {"series": "links", "key": 42, "bucket": 20260505, "value": 3}],
            ["series.batch_add", {"series": "links", "items": [[k, 20260505, 1] for k in range(10_000)]}],
            ["counter.batch_sum", {"series": "links", "keys": list(range(10_000)), "range": None}],
            ["tree.keys", {"series": "links"}], ["tree.top", {"series": "links", "limit": 1}],
            ["counter.sum", {"series": "nothing", "key": 1}], ["ingest.begin", {"stream_id": "s"}]]
        replies = self.ruby("v2", server.port, *calls, token="secret")
        self.assertEqual(replies[:4], ["pong", "OK", 3, {"applied": 10_000, "total": 10_000}])
        self.assertEqual(sum(item["value"] for item in replies[4]), 10_003)
        self.assertEqual(replies[5]["next_cursor"], 99)
        self.assertEqual(replies[6]["items"], [{"key": 42, "value": 4}])
        self.assertEqual(replies[7:], ["ERROR not_found", "ERROR unknown_command"])
        self.assertEqual(self.ruby("v2", server.port, *calls[:2], token="look"), ["pong", "ERROR forbidden"])
        self.assertEqual(self.ruby("v2", server.port, calls[0]), ["ERROR unauthorized"])

    def test_a_long_pipeline_and_a_long_line(self) -> None:
        server = self.server()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(b'{"command":"increment","tree_name":"a","key":1}\r\n' * 10_000 +
                           b'{"command":"find","tree_name":"a","time_from":0,"time_to":1}\n'
                           b'{"v":2,"op":"counter.sum","series":"a","key":1}\n')
            lines = client.makefile("rb")
            replies = [lines.readline() for _ in range(10_002)]
            self.assertEqual(set(replies[:10_000]), {b'{"success":true,"response":1}\r\n'})
            self.assertEqual(replies[10_000], b'{"success":true,"response":{"1":{}}}\r\n')
            self.assertEqual(json.loads(replies[10_001])["response"], 10_000)
            try:
                client.sendall(b'{"v":2,"op":"' + b"x" * (16 << 20) + b'"}\n')
            except ConnectionError:
                pass  # it is answered and cut before all of it is sent
            try:
                rest = lines.read()
            except ConnectionError:
                return
            self.assertEqual(json.loads(rest)["error_code"], "request_too_large")


if __name__ == "__main__":
    harness.unittest.main()
