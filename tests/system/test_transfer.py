"""`jeton import` and `jeton export` against running servers: what goes out comes in again, exactly."""

import json
import os
import pty
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional

import harness


class TransferTest(harness.SystemTest):
    def another(self, *flags: Any) -> harness.Server:
        folder = self.folder / f"server{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        server = harness.Server(folder, *flags)
        self.addCleanup(server.kill)
        return server.start()

    def run_tool(self, server: harness.Server, *words: Any, status: int = 0,
                 stdin: Optional[bytes] = None) -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run([str(harness.BINARY), *map(str, words), "--port", str(server.port)],
                              input=stdin or b"", timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, status, done.stdout[-2000:] + done.stderr[-2000:])
        return done

    def refused(self, server: harness.Server, *words: Any, **more: Any) -> str:
        """What the tool says when it refuses; it prints nothing else."""
        text = self.run_tool(server, *words, status=1, **more).stderr.decode()
        self.assertTrue(text.startswith("jeton: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        return text

    def file(self, name: str, text: "bytes | str") -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def contents(self, server: harness.Server) -> Dict[str, Any]:
        """Settings, totals and buckets of every tree."""
        found = {}
        with server.client(resp=2) as client:
            for tree in client.call("TREE.LIST"):
                name = tree.encode("latin-1")
                cursor, page = client.call("TREE.SCAN", name, 0, "COUNT", 1000)
                keys = page[::2]
                while cursor != "0":
                    cursor, page = client.call("TREE.SCAN", name, cursor, "COUNT", 1000)
                    keys += page[::2]
                info = client.call("TREE.INFO", name)
                info = dict(zip(info[::2], info[1::2]))
                ranges = client.pipeline([("TREE.RANGE", name, key.encode("latin-1")) for key in keys])
                found[tree] = {"settings": (info["bucket"], info["timezone"]), "total": info["total"],
                               "keys": {key: row for key, row in zip(keys, ranges) if row}}
        return found

    def karma(self, server: harness.Server, **request: Any) -> Any:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(connection.makefile("rb").readline())
        self.assertTrue(reply["success"], reply)
        return reply["response"]

    def karma_dumps(self, server: harness.Server, *trees: str) -> List[Path]:
        for tree in trees:
            self.karma(server, command="dump", tree_name=tree)
        return sorted(server.data.glob("*.tree"))

    # ---- CSV and JSON lines

    def fill(self, server: harness.Server) -> None:
        odd = ["a,b", 'say "x"', "two\r\nlines", " blanks ", b"\xff\x00\xfe", "", "\ufeffmark", "42"]
        with server.client(resp=2) as client:
            client.call("TREE.CREATE", "naïve, \"days\"")
            for i, key in enumerate(odd):
                word = key.encode() if isinstance(key, str) else key
                client.call("TREE.SET", "naïve, \"days\"".encode(), word, "20230701", f"-{i}.00000000000000001")
                client.call("TREE.SET", "naïve, \"days\"".encode(), word, "99991231", "0.5")
            client.call("TREE.CREATE", "hours", "BUCKET", "hour", "TZ", "Europe/Berlin")
            # The repeated hour is two buckets.
            for bucket in ("2023102902+0200", "2023102902+0100", "2023102903"):
                client.call("TREE.SET", "hours", "k", bucket, "99999999999999999999")
                client.call("TREE.SET", "hours", "k", bucket, "12345678901234567890")
            client.pipeline([("TREE.INCRBY", "many", f"key{i}", i + 1, "AT", "20230701") for i in range(3000)])

    def test_csv_goes_out_and_comes_in(self) -> None:
        first = self.server()
        self.fill(first)
        out = self.run_tool(first, "export", "csv")
        self.assertIn(b"Exported 3019 buckets of 3009 keys in 3 trees", out.stderr)
        self.assertTrue(out.stdout.startswith(b"tree,key,bucket,value\r\n"))
        self.assertNotIn(b"\x1b", out.stderr, "a progress bar without a terminal")
        path = self.folder / "all.csv"
        self.run_tool(first, "export", "csv", "--output", path)
        self.assertEqual(path.read_bytes(), out.stdout)
        self.assertEqual(list(self.folder.glob("*.part")), [])

        second = self.another()
        text = self.refused(second, "import", "csv", path)
        self.assertIn("tree \"hours\" is not there", text)
        with second.client() as client:
            client.call("TREE.CREATE", "hours", "BUCKET", "hour", "TZ", "Europe/Berlin")
        # Twice makes no difference: values are set, not added.
        for _ in range(2):
            done = self.run_tool(second, "import", "csv", path)
            self.assertRegex(done.stdout.decode(), r"^Imported 3019 buckets into 3 trees in \d+\.\d s\n$")
        self.assertEqual(self.contents(second), self.contents(first))
        second.kill()
        second.start()
        self.assertEqual(self.contents(second), self.contents(first))

    def test_one_tree_by_its_name_and_width(self) -> None:
        first = self.server()
        self.fill(first)
        rows = self.run_tool(first, "export", "csv", "--tree", "hours").stdout
        second = self.another()
        self.run_tool(second, "import", "csv", "-", "--bucket", "hour", "--tz", "Europe/Berlin", stdin=rows)
        self.assertEqual(self.contents(second), {"hours": self.contents(first)["hours"]})
        self.assertIn("BUCKET hour TZ Europe/Berlin",
                      self.refused(second, "import", "csv", "-", "--bucket", "day", stdin=rows))
        self.assertIn("no such tree \"nothing\"", self.refused(first, "export", "csv", "--tree", "nothing"))

    def test_zero_buckets_are_left_out(self) -> None:
        server = self.server()
        rows = "k,20230701,0\nk,20230702,3\nnothing,20230702,0\n"
        self.run_tool(server, "import", "csv", self.file("a.csv", rows), "--tree", "t")
        self.assertEqual(self.run_tool(server, "export", "csv").stdout.decode(),
                         "tree,key,bucket,value\r\nt,k,20230702,3\r\n")

    def test_json_lines(self) -> None:
        server = self.server()
        with server.client() as client:
            client.call("TREE.SET", "ü", "a\"b\n", "20230701", "-0.25")
        out = self.folder / "out.jsonl"
        done = self.run_tool(server, "export", "jsonl", "--output", out)
        self.assertEqual(done.stdout, b"")
        self.assertEqual([json.loads(line) for line in out.read_text().splitlines()],
                         [{"tree": "ü", "key": "a\"b\n", "bucket": "20230701", "value": "-0.25"}])
        with server.client() as client:
            client.call("TREE.SET", "ü", b"\xff", "20230701", "1")
        self.assertIn(r'"\xff" is not UTF-8', self.refused(server, "export", "jsonl", "--output", out))
        self.assertEqual(out.read_text().count("\n"), 1, "the old file stays")
        self.assertEqual(list(self.folder.glob("*.part")), [])

    def test_replace_takes_out_what_was_there(self) -> None:
        server = self.server()
        with server.client() as client:
            client.call("TREE.CREATE", "t", "RETAIN", "100000")
            client.call("TREE.SET", "t", "old", "20230701", "5")
        rows = self.file("a.csv", "key,bucket,value\nnew,20230701,1\nnew,20230702,2\n")
        self.run_tool(server, "import", "csv", rows, "--tree", "t")
        self.assertEqual(self.contents(server)["t"]["total"], 8)
        self.run_tool(server, "import", "csv", rows, "--tree", "t", "--replace")
        self.assertEqual(self.contents(server)["t"]["keys"], {"new": ["20230701", 1, "20230702", 2]})
        with server.client() as client:
            info = client.call("TREE.INFO", "t")
        self.assertEqual(info[info.index("retain") + 1], 100000)

    def test_errors_in_rows_change_nothing(self) -> None:
        server = self.server()
        cases = [
            ("k,20230701,1\nk,20230702,x\n", ["--tree", "t"], "line 2: value \"x\""),
            ("k,20230701,1\nk,20230732,1\n", ["--tree", "t"], "line 2: "),
            ("k,20230701,1\n", [], "line 1: three columns"),
            ("a,k,20230701,1\nb,k,20230701,1\n", ["--tree", "a"], "line 2: tree \"b\", but --tree is \"a\""),
            ("k,20230701,1\n\"k,20230701,1\n", ["--tree", "t"], "line 2: a quoted field is not closed"),
        ]
        for rows, flags, message in cases:
            text = self.refused(server, "import", "csv", self.file("bad.csv", rows), *flags)
            self.assertIn(message, text)
            self.assertIn("bad.csv", text)
            self.assertIn("nothing was imported", text)
        self.assertIn("No such file", self.refused(server, "import", "csv", self.folder / "none.csv"))
        self.assertEqual(self.contents(server), {})

    def test_an_error_of_the_server_names_the_row(self) -> None:
        server = self.server()
        rows = "".join(f"k{i},20230701,1\n" for i in range(2000)) + "k,202307,1\nz,20230701,1\n"
        text = self.refused(server, "import", "csv", self.file("a.csv", rows), "--tree", "t")
        self.assertIn('line 2001: tree "t", key "k", bucket "202307", value 1: ERR bucket', text)
        with server.client() as client:
            client.call("SET", "counter", "5")
        self.assertIn("line 1: WRONGTYPE", self.refused(
            server, "import", "csv", self.file("b.csv", "k,20230701,1\n"), "--tree", "counter"))

    def test_a_password(self) -> None:
        server = self.server("--requirepass", "secret")
        self.assertIn("NOAUTH", self.refused(server, "export", "csv"))
        self.assertIn("WRONGPASS", self.refused(server, "export", "csv", "--password", "wrong"))
        self.run_tool(server, "export", "csv", "--password", "secret")
        server.stop()
        self.assertIn("cannot connect", self.refused(server, "export", "csv"))

    def test_progress_on_a_terminal(self) -> None:
        server = self.server()
        ours, theirs = pty.openpty()
        rows = self.file("a.csv", "".join(f"k{i},20230701,1\n" for i in range(100_000)))
        tool = subprocess.Popen([str(harness.BINARY), "import", "csv", str(rows), "--tree", "t",
                                 "--port", str(server.port)], stderr=theirs, stdout=subprocess.PIPE)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # how a terminal says that nobody is left
        os.close(ours)
        out, _ = tool.communicate(timeout=60)
        self.assertEqual(tool.returncode, 0)
        self.assertIn(b"Imported 100000 buckets", out)
        if shown:  # it may have been too quick for the first drawing
            self.assertRegex(shown, rb"Importing|Checking")
            self.assertIn(b"%", shown)

    # ---- Karma's dumps

    def test_karma_dumps_move_to_a_running_server(self) -> None:
        first = self.server()
        for tree, keys in {"with_underscore": 2000, "b": 1}.items():
            with first.client() as client:
                client.pipeline([("TREE.INCRBY", tree, key, key + 1, "AT", "20230701") for key in range(keys)])
                client.call("TREE.SET", tree, 0, "20240229", 18446744073709551000)
        self.karma_dumps(first, "b", "with_underscore")
        with first.client() as client:
            client.call("TREE.INCRBY", "b", 7, 7, "AT", "20230702")
        dumps = self.karma_dumps(first, "b")
        self.assertEqual(len(dumps), 3)
        folder = self.folder / "dumps"
        folder.mkdir()
        for dump in dumps:
            shutil.copy(dump, folder)

        second = self.another()
        done = self.run_tool(second, "import", "karma", folder)
        self.assertRegex(done.stdout.decode(), r"^Imported 2004 buckets into 2 trees in \d+\.\d s\n$")
        self.assertEqual(self.contents(second), self.contents(first))

        # A tree that is there is left alone, and so are the others.
        with second.client() as client:
            client.call("TREE.DROP", "with_underscore")
            client.call("TREE.SET", "b", 7, "20230702", 1)
        self.assertIn('tree "b" is there already', self.refused(second, "import", "karma", folder))
        self.assertEqual(list(self.contents(second)), ["b"])
        self.run_tool(second, "import", "karma", folder, "--replace")
        self.assertEqual(self.contents(second), self.contents(first))
        self.run_tool(second, "import", "karma", *folder.iterdir(), "--replace")
        self.assertEqual(self.contents(second), self.contents(first))

    def test_a_damaged_karma_dump_is_refused_whole(self) -> None:
        first = self.server()
        with first.client() as client:
            for tree in ("a", "b"):
                client.call("TREE.SET", tree, 1, "20230701", 5)
        good, bad = self.karma_dumps(first, "a", "b")
        bytes_of_bad = bad.read_bytes()
        second = self.another()
        for damaged in (bytes_of_bad[:-1], bytes_of_bad + b"\0", b""):
            bad.write_bytes(damaged)
            text = self.refused(second, "import", "karma", good, bad)
            self.assertIn(f"{bad}: byte ", text)
            self.assertIn("nothing was imported", text)
            self.assertEqual(self.contents(second), {})
        self.assertIn("is not that of a Karma dump", self.refused(second, "import", "karma", first.log_path))
        self.assertIn("no Karma dump here", self.refused(second, "import", "karma", second.data))

    def test_zeros_of_release_0_1_come_along(self) -> None:
        server = self.server()
        # {"branches": [{5: {"table": {20230701: 0}, "total": 0}}], "branches_num": 1}
        dump = (b"\x82\xa8branches\x91\x81\x05\x82\xa5table\x81\xce" + (20230701).to_bytes(4, "big") +
                b"\x00\xa5total\x00\xacbranches_num\x01")
        self.run_tool(server, "import", "karma", self.file("1688496993_t.tree", dump))
        with server.client() as client:
            info = client.call("TREE.INFO", "t")
        self.assertEqual([info[info.index(name) + 1] for name in ("keys", "buckets", "total")], [1, 1, 0])


if __name__ == "__main__":
    harness.main()
