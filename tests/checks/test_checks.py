"""The checks of scripts/ find what they are there to find."""

import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class CheckTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="jeton-checks-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self, script: str) -> "tuple[int, str]":
        done = subprocess.run([SCRIPTS / script, self.root], stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout

    def test_includes_that_go_down_pass(self) -> None:
        self.write("base/a.h", "#include <vector>\n")
        self.write("engine/b.h", '#include "base/a.h"\n')
        self.write("sim/c.cc", '#include "engine/b.h"\n#include "base/a.h"\n')
        self.assertEqual(self.check("check_layers"), (0, "3 files keep to the layer table\n"))

    def test_an_include_that_goes_up_is_named(self) -> None:
        self.write("base/a.h", '\n#include "engine/b.h"\n')
        self.write("engine/b.h", "")
        status, output = self.check("check_layers")
        self.assertEqual(status, 1)
        self.assertIn('base/a.h:2: #include "engine/b.h": base may not include engine', output)

    def test_siblings_may_not_include_each_other(self) -> None:
        self.write("crdt/a.h", '#include "storage/b.h"\n')
        self.write("storage/b.h", "")
        self.assertIn("crdt may not include storage", self.check("check_layers")[1])

    def test_the_simulator_never_sees_the_network(self) -> None:
        self.write("sim/a.cc", '#include "net/b.h"\n')
        self.write("net/b.h", "")
        self.assertIn("sim may not include net", self.check("check_layers")[1])

    def test_a_module_that_is_not_in_the_table_is_named(self) -> None:
        self.write("util/a.h", "")
        self.assertIn("'util' is not in the layer table", self.check("check_layers")[1])

    def test_an_include_that_names_no_file_is_named(self) -> None:
        self.write("base/a.cc", '#include "a.h"\n')
        self.write("base/a.h", "")
        self.assertIn('#include "a.h": no such file', self.check("check_layers")[1])

    def test_a_cycle_is_named(self) -> None:
        self.write("base/a.h", '#include "base/b.h"\n')
        self.write("base/b.h", '#include "base/c.h"\n')
        self.write("base/c.h", '#include "base/a.h"\n')
        status, output = self.check("check_layers")
        self.assertEqual(status, 1)
        self.assertIn("base/a.h -> base/b.h -> base/c.h -> base/a.h", output)

    def test_forbidden_words_are_named(self) -> None:
        self.write("a.txt", "fine\nfrom registry" + ".npmjs.org\n")
        self.write("b.txt", "cd /" + "home/somebody\n")
        self.write("c.txt", "https://example.org/home/page and /tmp/x\n")
        status, output = self.check("check_words")
        self.assertEqual(status, 1)
        self.assertIn("a.txt:2: a package registry's host", output)
        self.assertIn("b.txt:1: a path of one machine", output)
        self.assertNotIn("c.txt", output)


class DependenciesTest(unittest.TestCase):
    def test_every_package_says_what_it_is_for(self) -> None:
        lines = (SCRIPTS / "packages.txt").read_text().splitlines()
        packages = [line.split()[1] for line in lines if line and not line.startswith("#")]
        self.assertGreater(len(packages), 20)
        text = (SCRIPTS.parent / "docs/dependencies.md").read_text()
        self.assertEqual([name for name in packages if f"`{name}`" not in text], [])


if __name__ == "__main__":
    unittest.main()
