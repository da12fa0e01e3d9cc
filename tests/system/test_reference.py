"""The generated pages of docs/reference/ are those that the binary would write now."""

import subprocess
import unittest

import harness


class ReferenceTest(unittest.TestCase):
    def test_pages_are_fresh(self) -> None:
        for page in ("commands", "settings"):
            with self.subTest(page):
                done = subprocess.run([harness.BINARY, "reference", page], stdout=subprocess.PIPE,
                                      text=True, check=True, timeout=30)
                self.assertGreater(len(done.stdout), 1000)
                path = harness.ROOT / f"docs/reference/{page}.md"
                self.assertTrue(path.exists() and path.read_text() == done.stdout,
                                f"{path.name} is stale: scripts/generate_reference writes it")


if __name__ == "__main__":
    harness.main()
