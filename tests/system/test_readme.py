"""The README's tour works as pasted: each line prints what stands behind its '#'."""

import os
import pty
import re
import subprocess
from typing import List, Tuple

import harness

README = harness.ROOT / "README.md"
PORT = 5262


def tour_blocks() -> List[str]:
    return re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.M | re.S)


def steps(block: str) -> List[Tuple[str, List[str]]]:
    """Commands with the lines that they are said to print (none: anything)."""
    found: List[Tuple[str, List[str]]] = []
    for line in block.splitlines():
        command, mark, output = line.partition("  # ")
        if not command.strip():
            found[-1][1].append(output.strip())
        else:
            found.append((command.strip(), [output.strip()] if mark else []))
    return found


def run_in_terminal(command: str) -> "tuple[int, List[str]]":
    """Runs it as a person would, because redis-cli prints other things into a pipe."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["bash", "-c", command], cwd=harness.ROOT, stdin=subprocess.DEVNULL,
                               stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"})
    os.close(theirs)
    output = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # How a terminal says that its last writer is gone.
            piece = b""
        if not piece:
            break
        output += piece
    os.close(ours)
    return process.wait(60), output.decode().replace("\r\n", "\n").splitlines()


class ReadmeTest(harness.SystemTest):
    def test_the_tour_works_as_pasted(self) -> None:
        server = self.server()
        blocks = tour_blocks()
        self.assertGreaterEqual(len(blocks), 5)
        checked = 0
        for block in blocks:
            if block is blocks[-1]:  # "Now end the server ... start it again, and ask"
                server.kill()
                server.start()
            for command, expected in steps(block):
                with self.subTest(command):
                    status, output = run_in_terminal(command.replace(str(PORT), str(server.port)))
                    self.assertEqual(status, 0, output)
                    self.assertTrue(output, "it prints nothing")
                    if expected:
                        self.assertEqual([line.strip() for line in output], expected)
                        checked += 1
        self.assertGreaterEqual(checked, 10)

    def test_the_example_counts_an_access_log(self) -> None:
        server = self.server()
        log = self.folder / "access.log"
        line = '192.0.2.7 - - [24/Jun/2026:14:36:25 +0000] "GET {} HTTP/1.1" {} 512 "-" "curl"\n'
        log.write_text(line.format("/a?q=1", 200) * 3 + line.format("/b", 404) * 2 + "not a request\n")
        command = [harness.ROOT / "examples/count_installs.py", "--port", str(server.port), log]
        for _ in range(2):  # Counting again starts from zero.
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
            self.assertIn("15 increments", done.stdout)
            self.assertRegex(done.stdout, r"most requested \(2 counters\)\n +3  /a\n +2  /b\n")
            self.assertRegex(done.stdout, r"status codes \(2 counters\)\n +3  200\n +2  404\n")

    def test_documents_that_the_readme_links_exist(self) -> None:
        for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
            self.assertTrue((harness.ROOT / target).exists(), target)


if __name__ == "__main__":
    harness.main()
