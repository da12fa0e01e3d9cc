"""Metrics and health over HTTP on the one port."""

import http.client
import re
import socket

import harness

# One sample of the Prometheus text format, version 0.0.4.
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:%s(?:,%s)*,?)?\})? "
    r"([-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|Inf|NaN))(?: -?\d+)?" % (LABEL, LABEL))
KINDS = {"counter", "gauge", "histogram", "summary", "untyped"}


class HttpTest(harness.SystemTest):
    def setUp(self) -> None:
        super().setUp()
        self.jeton = self.server()

    def get(self, path: str, method: str = "GET") -> "tuple[int, dict, str]":
        connection = http.client.HTTPConnection("127.0.0.1", self.jeton.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request(method, path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read().decode()

    def samples(self) -> dict:
        status, headers, text = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["content-type"].startswith("text/plain"), headers)
        self.assertTrue(text.endswith("\n"))
        kinds, samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertIn(kind, KINDS)
                self.assertNotIn(name, kinds, "two TYPE lines")
                kinds[name] = kind
            elif line and not line.startswith("#"):
                match = SAMPLE.fullmatch(line)
                self.assertIsNotNone(match, f"not a sample: {line!r}")
                name = match.group(1)
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertTrue(name in kinds or family in kinds, f"no TYPE line for {name}")
                series = line.rsplit(" ", 1)[0]
                self.assertNotIn(series, samples, "a series twice")
                samples[series] = float(match.group(2))
        return samples

    def test_metrics_are_prometheus_text_and_move(self) -> None:
        before = self.samples()
        self.assertTrue(before, "no metrics at all")
        self.assertTrue(all(name.startswith(("jeton_", "process_")) for name in before), before)
        with self.jeton.client() as client:
            client.pipeline([("INCR", "visits")] * 100)
        after = self.samples()
        grown = [name for name in after if after[name] - before.get(name, 0) >= 100]
        self.assertTrue(grown, "a hundred commands moved nothing")

    def test_health(self) -> None:
        self.assertEqual(self.get("/healthz")[0], 200)
        self.assertEqual(self.get("/readyz")[0], 200)
        self.assertEqual(self.get("/healthz", "HEAD")[::2], (200, ""))
        self.assertEqual(self.get("/nowhere")[0], 404)
        self.assertEqual(self.get("/healthz", "DELETE")[0], 405)

    def test_requests_share_a_connection(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.jeton.port, timeout=10)
        self.addCleanup(connection.close)
        local = None
        for path in ("/healthz", "/metrics", "/readyz"):
            connection.request("GET", path)
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            response.read()
            local = local or connection.sock.getsockname()
            self.assertEqual(connection.sock.getsockname(), local)

    def test_get_without_http_is_a_command(self) -> None:
        with self.jeton.client() as client:
            client.send_raw(b"GET /metrics\r\n")
            self.assertEqual(client.read(), "0")

    def test_broken_requests_are_refused(self) -> None:
        for raw in (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n",
                    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000):
            with socket.create_connection(("127.0.0.1", self.jeton.port), 10) as connection:
                try:
                    connection.sendall(raw)
                    answer = connection.recv(1 << 16)
                except (ConnectionResetError, BrokenPipeError):
                    answer = b""
                if answer:
                    self.assertRegex(answer, rb"^HTTP/1\.1 4\d\d ")
        self.assertEqual(self.get("/healthz")[0], 200)


if __name__ == "__main__":
    harness.main()
