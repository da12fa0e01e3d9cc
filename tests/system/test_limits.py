"""The limits that have names, reached on purpose; the server survives all of them."""

import socket
import threading
from typing import List

import harness
from harness import encode

KEY_BYTES_MAX = 64 * 1024
IDLE_CLIENTS = 10_000
PIPELINE = 100_000


class LimitsTest(harness.SystemTest):
    def assert_serves(self, server: harness.Server) -> None:
        self.assertTrue(server.alive(), server.log()[-4000:])
        with server.client() as client:
            self.assertEqual(client.call("PING"), "PONG")

    def assert_cut(self, client: harness.Client) -> bytes:
        """The server closes the connection; returns its last words."""
        return client.read_all()

    def names(self, server: harness.Server) -> List[str]:
        with server.client() as client:
            lines = client.call("CLIENT", "LIST").splitlines()
        fields = (dict(word.split("=", 1) for word in line.split(" ") if "=" in word) for line in lines)
        return [field["name"] for field in fields]

    # connections

    def test_maxclients(self) -> None:
        server = self.server("--maxclients", 10)
        # The connections of the start are closed, but perhaps not yet noticed.
        harness.eventually(lambda: server.info("clients")["connected_clients"] == "1", "only us")
        clients = []
        for _ in range(10):
            client = server.client()
            self.addCleanup(client.close)
            clients.append(client)
            harness.eventually(lambda: self.admitted(client, server, clients), "a place")
        with server.client() as refused:
            self.assertEqual(self.assert_cut(refused), b"-ERR max number of clients reached\r\n")
        clients.pop().close()

        def free_again() -> bool:
            with server.client() as client:
                client.send("PING")
                try:
                    return client.read() == "PONG"
                except EOFError:
                    return False
        harness.eventually(free_again, "the place of a client that left")

    def admitted(self, client: harness.Client, server: harness.Server,
                 clients: List[harness.Client]) -> bool:
        """True if the newest client has a place; else replaces it by a new one."""
        try:
            client.send("PING")
            if clients[-1].read() == "PONG":
                return True
        except (EOFError, OSError):
            pass
        clients[-1].close()
        clients[-1] = server.client()
        self.addCleanup(clients[-1].close)
        return False

    def test_ten_thousand_idle_connections(self) -> None:
        allowed = harness.raise_file_limit(IDLE_CLIENTS + 500)
        count = min(IDLE_CLIENTS, allowed - 300)
        if count < IDLE_CLIENTS:
            print(f"NOTE: this machine allows {allowed} open files: {count} idle connections", flush=True)
        server = self.server("--maxclients", IDLE_CLIENTS + 200)
        idle = []
        self.addCleanup(lambda: [client.close() for client in idle])
        for i in range(count):
            idle.append(harness.Client(server.port))
            if i % 250 == 0:
                # Keeps the queue of connections that wait to be accepted short.
                self.assertEqual(idle[-1].call("PING"), "PONG")
        self.assertEqual(idle[-1].call("PING"), "PONG")
        self.assertGreaterEqual(int(server.info("clients")["connected_clients"]), count)
        with server.client() as client:
            self.assertEqual(client.pipeline([("INCR", "busy")] * 10_000)[-1], "10000")
        for client in (idle[0], idle[count // 2], idle[-1]):
            self.assertEqual(client.call("INCRBY", "idle", 0), "0")
        for client in idle:
            client.close()
        harness.eventually(lambda: int(server.info("clients")["connected_clients"]) <= 1,
                           "the connections are gone", 30)

    # sizes of requests

    def test_key_size(self) -> None:
        server = self.server()
        with server.client() as client:
            largest = b"k" * KEY_BYTES_MAX
            self.assertEqual(client.call("INCR", largest), "1")
            self.assertEqual(client.call("GET", largest), "1")
            for words in (("INCR", largest + b"k"), ("GET", largest + b"k"),
                          ("SET", largest + b"k", 1), ("MINCRBY", 1, "fine", largest + b"k")):
                self.assert_error("ERR", client, *words)
            self.assertEqual(client.call("GET", "fine"), "0")
            # A name may be any bytes.
            odd = bytes(range(256))
            self.assertEqual(client.call("INCR", odd), "1")
            self.assertIn(odd.decode("latin-1"), client.call("KEYS", "*"))
        # What was let in can be read back from the log.
        server.kill()
        server.start()
        with server.client() as client:
            self.assertEqual(client.pipeline([("GET", largest), ("GET", odd)]), ["1", "1"])

    def test_query_buffer(self) -> None:
        server = self.server("--client-query-buffer-limit", "1mb")
        with server.client() as client:
            raw = encode("GET", b"x" * (4 << 20))[:-10]
            try:
                client.send_raw(raw)
            except (ConnectionResetError, BrokenPipeError):
                pass  # Closed before everything was sent: that is the point.
            self.assert_cut(client)
        self.assert_serves(server)

    def test_protocol_errors_close_the_connection(self) -> None:
        server = self.server()
        cases = [
            (b"x" * (70 * 1024), b"too big inline request"),
            (b"*1\r\n$999999999999\r\n", b"invalid bulk length"),
            (b"*1\r\n$-5\r\n", b"invalid bulk length"),
            (b"*99999999999\r\n", b"invalid multibulk length"),
            (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
            (b'GET "open\r\n', b"unbalanced quotes in request"),
        ]
        for raw, text in cases:
            with server.client() as client:
                client.send_raw(raw)
                last_words = self.assert_cut(client)
                self.assertTrue(last_words.startswith(b"-ERR Protocol error: "), last_words)
                self.assertIn(text, last_words)
        self.assert_serves(server)

    def test_pipeline_of_100_000_commands(self) -> None:
        server = self.server()
        raw = encode("INCR", "piped") * PIPELINE
        with server.client() as client:
            # Nobody reads until everything is sent: the worst client there is.
            client.send_raw(raw)
            replies = [client.read() for _ in range(PIPELINE)]
        self.assert_counts(replies, PIPELINE)

    def test_pipeline_of_requests_that_begin_alike(self) -> None:
        """What the request before was taken for says nothing about a subcommand, a length or a line end."""
        server = self.server()
        with server.client() as client:
            client.call("CLIENT", "SETNAME", "me")
            identity = client.call("CLIENT", "ID")
            for _ in range(3):
                replies = client.pipeline([
                    ("CLIENT", "ID"), ("CLIENT", "GETNAME"), ("CLIENT", "ID"), ("OBJECT", "HELP"),
                    ("CONFIG", "GET", "port"), ("CONFIG", "HELP"), ("GET", "aaaa"), ("GET", "aaab"),
                    ("SET", "aaaa", 5), ("GET", "aaaa"), ("GETDEL", "aaaa"), ("GET", "aaaa"), ("get", "aaab"),
                    ("GET", "aaaab"), ("TTL", "aaaa"), ("DEL", "aaaa", "aaab"), ("DEL", "aaaa")])
                self.assertEqual(replies[:3], [identity, "me", identity])
                self.assertEqual(replies[4][:1], ["port"])
                self.assertEqual(replies[6:8], ["0", "0"])
                self.assertEqual(replies[9:], ["5", "5", "0", "0", "0", -2, 0, 0])
        with server.client() as client:
            client.send_raw(encode("INCR", "like") * 2 + b"*2\r\n$4\r\nINCR\r\n$4\r\nlike\nx")
            self.assertEqual([client.read(), client.read()], ["1", "2"])
            self.assertIn(b"Protocol error", self.assert_cut(client))
        self.assert_serves(server)

    def test_pipeline_of_inline_requests_behind_empty_ones(self) -> None:
        """They begin with the star of an array and are none: blanks and quotes count."""
        server = self.server()
        with server.client() as client:
            client.send_raw(b"*0\r\nINCR a \r\n*0\r\nINCR ab\r\n*0\r\nINCR abc\r\n*0\r\nINCR a b\r\n")
            self.assertEqual([client.read() for _ in range(3)], ["1", "1", "1"])
            self.assertIn("wrong number of arguments", str(client.read()))
            self.assertEqual(client.pipeline([("MGET", "a", "ab", "abc", "b", "a b")]), [["1", "1", "1", "0", "0"]])
        self.assert_serves(server)

    # replies that nobody reads

    def test_slow_reader_is_cut_off(self) -> None:
        server = self.server("--client-output-buffer-limit", "normal 1mb 0 0")
        with server.client(receive_buffer=4096) as slow:
            slow.call("CLIENT", "SETNAME", "slow")
            raw = encode("ECHO", b"e" * 60_000) * 100
            try:
                for _ in range(10):
                    slow.send_raw(raw)
            except (ConnectionResetError, BrokenPipeError, socket.timeout):
                pass
            harness.eventually(lambda: "slow" not in self.names(server), "the slow reader is cut off")
        self.assert_serves(server)

    def test_slow_monitor_is_cut_off(self) -> None:
        server = self.server("--client-output-buffer-limit", "pubsub 1mb 0 0")
        with server.client(receive_buffer=4096) as monitor, server.client() as busy:
            monitor.call("CLIENT", "SETNAME", "slow")
            self.assertEqual(monitor.call("MONITOR"), "OK")

            def cut() -> bool:
                busy.pipeline([("GET", b"k" * 10_000)] * 200)
                return "slow" not in self.names(server)
            harness.eventually(cut, "the slow monitor is cut off", 30)
        self.assert_serves(server)

    def test_slow_subscriber_is_cut_off(self) -> None:
        server = self.server("--client-output-buffer-limit", "pubsub 1mb 0 0")
        channels = [b"%04d" % i + b"c" * 60_000 for i in range(200)]
        with server.client(receive_buffer=4096) as slow, server.client() as busy:
            slow.call("CLIENT", "SETNAME", "slow")
            for i in range(0, len(channels), 10):
                slow.send("SUBSCRIBE", *channels[i:i + 10])
                for _ in range(10):
                    slow.read()

            def cut() -> bool:
                busy.pipeline([("INCR", channel) for channel in channels])
                return "slow" not in self.names(server)
            harness.eventually(cut, "the slow subscriber is cut off", 30)
            with server.client() as other:
                self.assertEqual(other.call("SUBSCRIBE", "quick"), ["subscribe", "quick", 1])
                busy.call("INCR", "quick")
                self.assertEqual(other.read(), ["message", "quick", "1"])
        self.assert_serves(server)

    # clients that are odd, and right

    def test_half_closed_client_gets_its_replies(self) -> None:
        server = self.server()
        with server.client() as client:
            client.send_raw(encode("INCR", "half") * 5000)
            client.socket.shutdown(socket.SHUT_WR)
            self.assert_counts([client.read() for _ in range(5000)], 5000)
            self.assertRaises(EOFError, client.read)

    def test_byte_by_byte_client(self) -> None:
        server = self.server()
        raw = encode("INCR", "slowly") + b"INCR slowly\r\n" + encode("HELLO", 3) + encode("INCR", "slowly")
        with server.client() as client:
            for i in range(len(raw)):
                client.send_raw(raw[i:i + 1])
            self.assertEqual(client.read(), "1")
            self.assertEqual(client.read(), "2")
            self.assertEqual(client.read()["proto"], 3)
            self.assertEqual(client.read(), 3)

    def test_inline_commands(self) -> None:
        server = self.server()
        with server.client() as client:
            client.send_raw(b"\r\n\r\nPING\r\nINCR a\nincrby  \"a\" 2\r\n   \r\nGET '\\x61'\r\n"
                            b"INCR \"a b\\n\\x00\"\r\nQUIT\r\n")
            replies = [client.read() for _ in range(6)]
            self.assertEqual(replies[:3], ["PONG", "1", "3"])
            # Single quotes take no escapes: the name is \x61, and nobody counted that.
            self.assertEqual(replies[3:], ["0", "1", "OK"])
            self.assertRaises(EOFError, client.read)
        with server.client() as client:
            self.assertEqual(client.call("GET", b"a b\n\x00"), "1")

    def test_clients_that_vanish(self) -> None:
        server = self.server()
        request = encode("INCR", "vanished")

        def vanish(cut: int) -> None:
            client = server.client()
            client.send_raw((request * 20)[:cut])
            # A reset instead of an orderly end.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        threads = [threading.Thread(target=vanish, args=(cut,)) for cut in range(0, 400, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assert_serves(server)
        harness.eventually(lambda: server.info("clients")["connected_clients"] == "1", "they are gone")
        with server.client() as client:
            self.assertLessEqual(int(client.call("GET", "vanished")), 20 * 100)


if __name__ == "__main__":
    harness.main()
