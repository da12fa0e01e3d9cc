"""Starting, stopping, settings, signals, and what a server does about a bad disk."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import List

import harness

# A log segment starts with a header of this size; records follow.
SEGMENT_HEADER_BYTES = 64


def segments(server: harness.Server) -> List[Path]:
    return sorted((server.data / "wal").glob("*.log"))


def used_bytes(path: Path) -> int:
    """Where the zero fill of a segment begins."""
    return len(path.read_bytes().rstrip(b"\0"))


def last_used_segment(server: harness.Server) -> Path:
    return max(path for path in segments(server) if used_bytes(path) > SEGMENT_HEADER_BYTES)


def flip_byte(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def snapshot_files(server: harness.Server) -> "set[str]":
    folder = server.data / "snap"
    return {str(path) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()


def own_address() -> str:
    """An address of this machine that is not loopback, or an empty text."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only chooses a route.
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            return ""
    return "" if address.startswith("127.") else address


class StopTest(harness.SystemTest):
    def assert_keeps(self, stop) -> None:
        server = self.server()
        with server.client() as client:
            client.pipeline([("INCRBYFLOAT", f"c{i}", f"{i}.5") for i in range(1000)])
        stop(server)
        server.start()
        with server.client() as client:
            self.assertEqual(client.pipeline([("GET", f"c{i}") for i in range(1000)]),
                             [f"{i}.5" for i in range(1000)])

    def test_sigterm(self) -> None:
        self.assert_keeps(lambda server: self.assertEqual(server.stop(signal.SIGTERM), 0))

    def test_sigint(self) -> None:
        self.assert_keeps(lambda server: self.assertEqual(server.stop(signal.SIGINT), 0))

    def test_sigkill(self) -> None:
        self.assert_keeps(harness.Server.kill)

    def test_shutdown(self) -> None:
        def shutdown(server: harness.Server) -> None:
            with server.client() as client:
                client.send("SHUTDOWN")
                self.assertEqual(client.read_all(), b"")
            self.assertEqual(server.wait(), 0)
        self.assert_keeps(shutdown)

    def test_sigusr1_makes_a_snapshot(self) -> None:
        server = self.server("--save", "")
        with server.client() as client:
            client.pipeline([("INCR", f"c{i}") for i in range(1000)])
        before = snapshot_files(server)
        server.send_signal(signal.SIGUSR1)
        harness.eventually(lambda: snapshot_files(server) - before, "a snapshot")
        harness.eventually(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", "its end")
        server.kill()
        server.start()
        with server.client() as client:
            self.assertEqual(client.call("DBSIZE"), 1000)

    def test_the_log_is_cut_after_a_snapshot(self) -> None:
        server = self.server("--save", "", "--log-segment-size", "1mb")
        with server.client() as client:
            for _ in range(30):
                client.pipeline([("INCR", f"c{i}") for i in range(5000)])
            before = segments(server)
            # Two generations are kept, so that a damaged snapshot is not the end: the second
            # snapshot makes the log before the first one superfluous.
            client.call("SAVE")
            client.call("INCR", "more")
            client.call("SAVE")
        harness.eventually(lambda: before[0] not in segments(server), "the oldest segment goes")
        server.kill()
        server.start()
        with server.client() as client:
            self.assertEqual(set(client.pipeline([("GET", f"c{i}") for i in range(5000)])), {"30"})

    def test_recovery_reports_what_it_read(self) -> None:
        server = self.server()
        with server.client() as client:
            client.pipeline([("INCR", "c")] * 1000)
        server.kill()
        mark = len(server.log())
        server.start()
        self.assertRegex(server.log()[mark:], r"(?i)(recover|load|replay|read).*\d")


class SettingsTest(harness.SystemTest):
    def config(self, text: str, name: str = "jeton.conf") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def get(self, server: harness.Server, name: str) -> str:
        with server.client() as client:
            return client.call("CONFIG", "GET", name)[1]

    def test_a_bad_setting_stops_the_start(self) -> None:
        cases = [
            ("maxclients many\n", ["jeton.conf:2", "maxclients", "many"]),
            ("no-such-setting 1\n", ["jeton.conf:2", "no-such-setting"]),
            ("fsync sometimes\n", ["jeton.conf:2", "fsync", "sometimes"]),
            ("timeout\n", ["jeton.conf:2", "timeout"]),
            ("include missing.conf\n", ["jeton.conf:2", "missing.conf"]),
        ]
        for text, expected in cases:
            path = self.config("# the settings\n" + text)
            output = self.fails_to_start(self.server(start=False, config=path))
            for word in expected:
                self.assertIn(word, output)
        self.config("fine-it-is-not 1\n", "part.conf")
        path = self.config(f"include {self.folder}/part.conf\n")
        output = self.fails_to_start(self.server(start=False, config=path))
        self.assertIn("part.conf:1", output)

    def test_a_bad_flag_or_variable_stops_the_start(self) -> None:
        output = self.fails_to_start(self.server(start=False), "--maxclients", "many")
        self.assertIn("maxclients", output)
        self.assertIn("many", output)
        output = self.fails_to_start(self.server(start=False), "--no-such-flag", "1")
        self.assertIn("no-such-flag", output)
        os.environ["JETON_FSYNC"] = "sometimes"
        self.addCleanup(os.environ.pop, "JETON_FSYNC", None)
        output = self.fails_to_start(self.server(start=False))
        self.assertIn("JETON_FSYNC", output)
        self.assertIn("sometimes", output)

    def test_later_sources_win(self) -> None:
        path = self.config("maxclients 101\nhistory-size 11\ntimeout 1001\n")
        os.environ["JETON_HISTORY_SIZE"] = "12"
        os.environ["JETON_TIMEOUT"] = "1002"
        self.addCleanup(os.environ.pop, "JETON_HISTORY_SIZE", None)
        self.addCleanup(os.environ.pop, "JETON_TIMEOUT", None)
        server = self.server("--timeout", 1003, config=path)
        self.assertEqual(self.get(server, "maxclients"), "101")
        self.assertEqual(self.get(server, "history-size"), "12")
        self.assertEqual(self.get(server, "timeout"), "1003")
        with server.client() as client:
            self.assertEqual(client.call("CONFIG", "SET", "timeout", 1004), "OK")
            self.assert_error("ERR", client, "CONFIG", "SET", "timeout", "soon")
        self.assertEqual(self.get(server, "timeout"), "1004")

    def test_check_config(self) -> None:
        def check(text: str) -> "tuple[int, str]":
            data = self.folder / "untouched"
            done = subprocess.run([harness.BINARY, "serve", self.config(text), "--dir", data,
                                   "--check-config"], stdout=subprocess.PIPE, timeout=30,
                                  stderr=subprocess.STDOUT, text=True)
            self.assertFalse(data.exists())
            return done.returncode, done.stdout
        self.assertEqual(check("maxclients 100\n")[0], 0)
        status, output = check("\nmaxclients -1\n")
        self.assertNotEqual(status, 0)
        for word in ("jeton.conf:2", "maxclients", "-1"):
            self.assertIn(word, output)

    def test_config_rewrite(self) -> None:
        path = self.config("# Clients: as many as the office has.\nmaxclients 100\n\nhistory-size 11\n")
        server = self.server(config=path)
        with server.client() as client:
            client.call("CONFIG", "SET", "maxclients", 120)
            client.call("CONFIG", "SET", "timeout", 77)
            self.assertEqual(client.call("CONFIG", "REWRITE"), "OK")
        text = path.read_text()
        self.assertIn("# Clients: as many as the office has.\nmaxclients 120\n\nhistory-size 11\n", text)
        self.assertRegex(text, r"(?m)^timeout 77$")
        server.stop()
        server.start()
        self.assertEqual(self.get(server, "maxclients"), "120")
        self.assertEqual(self.get(server, "timeout"), "77")

    def test_version_and_help(self) -> None:
        for flag, expected in (("--version", r"\d+\.\d+\.\d+"), ("--help", "serve")):
            done = subprocess.run([harness.BINARY, flag], stdout=subprocess.PIPE, text=True, timeout=30)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, expected)

    def test_password(self) -> None:
        server = self.server("--requirepass", "open sesame")
        with server.client() as client:
            self.assert_error("NOAUTH", client, "INCR", "c")
            self.assert_error("ERR invalid password", client, "AUTH", "wrong")
            self.assert_error("WRONGPASS", client, "HELLO", 3, "AUTH", "default", "wrong")
            self.assertEqual(client.call("AUTH", "open sesame"), "OK")
            self.assertEqual(client.call("INCR", "c"), "1")

    def test_unix_socket(self) -> None:
        path = self.folder / "jeton.sock"
        server = self.server("--unixsocket", path)
        with harness.Client(0, path=str(path)) as client:
            self.assertEqual(client.call("INCR", "c"), "1")
        server.kill()
        # The socket of a killed server is in nobody's way.
        server.start()
        with harness.Client(0, path=str(path)) as client:
            self.assertEqual(client.call("GET", "c"), "1")

    def test_strangers_are_refused_without_a_password(self) -> None:
        server = self.server("--bind", "0.0.0.0", start=False)
        server.start(wait=False)
        try:
            server.wait_ready()
        except AssertionError:
            # Refusing to start is as good, if it says why.
            self.assertFalse(server.alive())
            self.assertIn("requirepass", server.log())
            return
        address = own_address()
        if not address:
            self.skipTest("SKIPPED LOUDLY: this machine has no address but loopback")
        with harness.Client(server.port, host=address) as stranger:
            try:
                stranger.send("INCR", "c")
            except OSError:
                pass
            self.assertTrue(stranger.read_all().startswith(b"-DENIED"))
        server.stop()
        server.start("--requirepass", "secret")
        with harness.Client(server.port, host=address) as friend:
            self.assertEqual(friend.call("AUTH", "secret"), "OK")


class DiskTest(harness.SystemTest):
    def counted(self, count: int, *flags: harness.Word) -> harness.Server:
        """A server that was killed after `count` increments of c, each on disk before the next."""
        server = self.server("--save", "", *flags)
        with server.client() as client:
            for _ in range(count):
                client.call("INCR", "c")
        server.kill()
        return server

    def value(self, server: harness.Server) -> int:
        with server.client() as client:
            return int(client.call("GET", "c"))

    def check(self, server: harness.Server) -> "tuple[int, str]":
        done = subprocess.run([harness.BINARY, "check", server.data], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout

    def test_two_servers_on_one_directory(self) -> None:
        first = self.server()
        second = self.server(start=False, data=first.data)
        output = self.fails_to_start(second)
        self.assertIn(str(first.data), output)
        self.assertRegex(output, r"(?i)in use|lock|another")
        with first.client() as client:
            self.assertEqual(client.call("INCR", "c"), "1")
        # The lock goes with its process, however that ended.
        first.kill()
        second.start()
        self.assertEqual(self.value(second), 1)

    def test_a_torn_record_is_cut_and_reported(self) -> None:
        server = self.counted(100)
        path = last_used_segment(server)
        os.truncate(path, used_bytes(path) - 3)
        mark = len(server.log())
        server.start()
        self.assertEqual(self.value(server), 99)
        self.assertRegex(server.log()[mark:], r"\d+ bytes of a torn tail were cut")
        # And it is mended: the next start has nothing to report.
        server.stop()
        mark = len(server.log())
        server.start()
        self.assertEqual(self.value(server), 99)
        self.assertNotRegex(server.log()[mark:], r"(?i)torn")

    def test_garbage_behind_the_last_record_is_cut(self) -> None:
        server = self.counted(100)
        path = last_used_segment(server)
        end = used_bytes(path)
        with open(path, "r+b") as file:
            file.seek(end + 8)
            file.write(b"\xa5" * 300)
        mark = len(server.log())
        server.start()
        self.assertGreaterEqual(self.value(server), 99)
        self.assertRegex(server.log()[mark:], r"\d+ bytes of a torn tail were cut")

    def test_damage_in_the_middle_stops_the_start(self) -> None:
        server = self.counted(400)
        path = last_used_segment(server)
        at = (SEGMENT_HEADER_BYTES + used_bytes(path)) // 2
        flip_byte(path, at)
        status, output = self.check(server)
        self.assertNotEqual(status, 0)
        self.assertIn(path.name, output)
        output = self.fails_to_start(server)
        self.assertIn(path.name, output)
        self.assertRegex(output, r"\d{2,}", "the position")
        # Refusing must not have changed anything.
        flip_byte(path, at)
        self.assertEqual(self.check(server)[0], 0)
        server.start()
        self.assertEqual(self.value(server), 400)

    def test_a_damaged_snapshot_is_never_believed(self) -> None:
        server = self.counted(400)
        server.start()
        with server.client() as client:
            client.call("SAVE")
        server.kill()
        for name in sorted(snapshot_files(server)):
            path = Path(name)
            flip_byte(path, path.stat().st_size // 2)
        self.assertNotEqual(self.check(server)[0], 0)
        server.start(wait=False)
        try:
            server.wait_ready()
        except AssertionError:
            self.assertFalse(server.alive())
            self.assertRegex(server.log(), r"snap")
            return
        self.assertEqual(self.value(server), 400)

    def test_a_data_directory_that_is_a_file(self) -> None:
        path = self.folder / "file"
        path.write_text("not a directory")
        self.assertIn(str(path), self.fails_to_start(self.server(start=False, data=path)))


class FullDiskTest(harness.SystemTest):
    def small_disk(self, megabytes: int) -> Path:
        path = self.folder / "disk"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "jeton-test", path],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            self.skipTest(f"SKIPPED LOUDLY: cannot mount a small disk here: {done.stdout.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path])
        return path

    def test_a_full_disk_refuses_writes_until_there_is_space(self) -> None:
        disk = self.small_disk(48)
        server = self.server("--log-segment-size", "1mb", "--save", "", data=disk / "data")
        ballast = disk / "ballast"
        acknowledged = 0
        with server.client() as client:
            acknowledged += len(client.pipeline([("INCR", "c")] * 100))
            with open(ballast, "wb") as file:
                try:
                    while True:
                        file.write(b"\1" * 65536)
                        file.flush()
                except OSError:
                    pass

            def refused() -> bool:
                nonlocal acknowledged
                # Two names in turn: changes of one in a row are logged as one.
                replies = client.pipeline([("INCR", "c"), ("INCR", "d")] * 1000)
                errors = [reply for reply in replies if isinstance(reply, harness.ReplyError)]
                for error in errors:
                    self.assertTrue(str(error).startswith("NOSPACE"), error)
                acknowledged += sum(not isinstance(reply, harness.ReplyError)
                                    for reply in replies[::2])
                return bool(errors)
            harness.eventually(refused, "a write is refused", 60)
            self.assertEqual(client.call("GET", "c"), str(acknowledged))
            self.assert_error("NOSPACE", client, "SET", "other", 1)
            self.assertEqual(server.info("persistence")["disk_state"], "full")

            ballast.unlink()

            def accepted() -> bool:
                return not isinstance(client.pipeline([("INCR", "c")])[0], harness.ReplyError)
            harness.eventually(accepted, "writes are taken again", 30)
            acknowledged += 1
            self.assertEqual(server.info("persistence")["disk_state"], "ok")
        server.kill()
        server.start()
        with server.client() as client:
            self.assertEqual(client.call("GET", "c"), str(acknowledged))


if __name__ == "__main__":
    harness.main()
