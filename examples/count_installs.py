#!/usr/bin/python3
"""Counts what a log tells, with Jeton and a stock Redis client.

    examples/count_installs.py [--port 5262] [LOG...]

Without a LOG: installs and upgrades per package, from this machine's own
/var/log/dpkg.log and its older generations. With an access log of a web server
(common or combined format, plain or .gz): requests per path, status and day.
Prints the top of each list. Counting again starts from zero.
"""

import argparse
import glob
import gzip
import re
import sys
from typing import Iterator, List, Tuple

import redis

BATCH = 1000
TOP = 5

# 2026-06-24 14:36:25 install libfoo:amd64 <none> 1.2-3
PACKAGE = re.compile(r"(\S+) \S+ (install|upgrade) ([^: ]+)")
# 192.0.2.7 - - [24/Jun/2026:14:36:25 +0000] "GET /path?query HTTP/1.1" 200 5120 ...
ACCESS = re.compile(r'\S+ \S+ \S+ \[([^:\]]+)[^\]]*\] "\S+ ([^ ?"]+)[^"]*" (\d{3}) ')

# The lists that are printed: the beginning of the counters' names, and a title.
PACKAGE_LISTS = [("install:", "most installed"), ("upgrade:", "most upgraded"),
                 ("day:", "busiest days")]
ACCESS_LISTS = [("path:", "most requested"), ("status:", "status codes"), ("day:", "busiest days")]


def lines(paths: List[str]) -> Iterator[str]:
    for path in paths:
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rt", errors="replace") as file:
            yield from file


def names_of(line: str) -> List[str]:
    """The counters that a line adds one to."""
    if match := PACKAGE.match(line):
        day, what, package = match.groups()
        return [f"{what}:{package}", f"day:{day}"]
    if match := ACCESS.match(line):
        day, path, status = match.groups()
        return [f"path:{path}", f"status:{status}", f"day:{day}"]
    return []


def forget(client: redis.Redis, lists: List[Tuple[str, str]]) -> None:
    for start, _ in lists:
        names = list(client.scan_iter(match=start + "*", count=BATCH))
        for at in range(0, len(names), BATCH):
            client.delete(*names[at:at + BATCH])


def count(client: redis.Redis, log: Iterator[str]) -> int:
    """One INCR for each thing found, pipelined; how many there were."""
    total = 0
    pipeline = client.pipeline(transaction=False)
    for line in log:
        for name in names_of(line):
            pipeline.incr(name)
            total += 1
        if len(pipeline) >= BATCH:
            pipeline.execute()
    pipeline.execute()
    return total


def print_top(client: redis.Redis, start: str, title: str) -> None:
    names = list(set(client.scan_iter(match=start + "*", count=BATCH)))
    if not names:
        return
    values = [int(value) for value in client.mget(names)]
    ranked = sorted(zip(values, names), key=lambda pair: (-pair[0], pair[1]))
    print(f"\n{title} ({len(names)} counters)")
    for value, name in ranked[:TOP]:
        print(f"{value:8}  {name[len(start):]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=5262)
    parser.add_argument("log", nargs="*")
    options = parser.parse_args()

    paths = options.log or sorted(glob.glob("/var/log/dpkg.log*"))
    if not paths:
        sys.exit("no /var/log/dpkg.log here: give an access log")
    lists = ACCESS_LISTS if options.log and "dpkg" not in paths[0] else PACKAGE_LISTS

    client = redis.Redis(port=options.port, decode_responses=True)
    forget(client, lists)
    total = count(client, lines(paths))
    print(f"{total} increments from {', '.join(paths)}")
    for start, title in lists:
        print_top(client, start, title)


if __name__ == "__main__":
    main()
