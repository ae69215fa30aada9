#!/usr/bin/env python3
"""Measures tasks and messages between processes beside a socket pair of datagrams, one at a time (ipcbench of --ref), by turns, in the given
number of rounds; medians.  Loopback only."""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# name, what tasks.lua is asked for, count, bytes, the reference: mode of ipcbench and its size, the ratio to reach
MEASURES = [
    ("tasks of 100 bytes, 64 under way", "tasks", 500000, 100, ("dgram", 1024, 300000), 0.75),
    ("tasks of 16 KiB, a short result", "one_way", 100000, 16384, ("dgram", 8192, 100000), 0.35),
    ("tasks of 16 KiB, and as much back", "tasks", 100000, 16384, ("dgram", 8192, 100000), 0.35),
    ("task_wait, 100 bytes", "task_wait", 50000, 100, ("pp-dgram", 1024, 50000), 0.4),
    ("messages of 100 bytes, one way", "messages", 500000, 100, ("dgram", 1024, 300000), 1.5),
]


class Server:
    def __init__(self, luaserv, mode, port):
        read_end, write_end = os.pipe()
        env = dict(os.environ, BENCH_MODE=mode, BENCH_PORT=str(port))
        self.process = subprocess.Popen(
            [luaserv, "-s", f"{HERE}/tasks.lua", "--ready-fd", str(write_end)], env=env, pass_fds=[write_end], stderr=subprocess.DEVNULL
        )
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            if not ready.readline():
                sys.exit("luaserv did not start")
        self.client = socket.create_connection(("127.0.0.1", port))
        self.client.settimeout(120)
        self.luaserv = luaserv

    def rate(self, what, count, size):
        self.client.sendall(f"{what} {count} {size}\n".encode())
        return count / float(self.client.makefile().readline())

    def pids(self):
        done = subprocess.run([self.luaserv, "status", "--json", "-s", f"{HERE}/tasks.lua"], capture_output=True, text=True, check=True)
        status = json.loads(done.stdout)
        return [one["pid"] for one in status["workers"] + status["tasks"]]

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait()


def syscalls_each(server, what, count, size):
    """System calls of workers and task worker per task, by strace; None without it."""
    if not shutil.which("strace"):
        return None
    pids = ",".join(str(pid) for pid in server.pids())
    watch = subprocess.Popen(["strace", "-c", "-f", "-q", "-p", pids], stderr=subprocess.PIPE, text=True)
    server.rate(what, count // 10, size)
    watch.send_signal(2)
    total = re.search(r"^100\.00\s+\S+\s+\S*\s+(\d+).*total$", watch.communicate()[1], re.M)
    return int(total.group(1)) / (count // 10) if total else None


def reference_rate(args, mode, size, count):
    command = [f"{args.ref}/ipcbench", "--mode", mode, "--size", str(size), "--count", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)["msgs_per_s"]


def measure(args, name, what, count, size, reference, wanted):
    rates = {"process": [], "base": []}
    references = []
    calls = {}
    for i in range(args.rounds):
        if args.ref:
            references.append(reference_rate(args, *reference))
        for mode in rates:
            server = Server(args.luaserv, mode, args.port)
            rates[mode].append(server.rate(what, count, size))
            if i == 0 and what == "tasks":
                calls[mode] = syscalls_each(server, what, count, size)
            server.stop()
    line = f"{name:34}"
    for mode, all_rates in rates.items():
        rate = statistics.median(all_rates)
        line += f"  {mode} {rate:9.0f}/s"
        if args.ref:
            line += f" ({rate / statistics.median(references):.2f})"
        if calls.get(mode) is not None:
            line += f", {calls[mode]:.2f} system calls each"
    if args.ref:
        line += f"  {reference[0]} {statistics.median(references):.0f}/s, wanted {wanted}"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--luaserv", default=f"{HERE}/../../build/release/bin/luaserv", help="the binary")
    parser.add_argument("--ref", help="folder of a built ipcbench to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=18500)
    args = parser.parse_args()
    for one in MEASURES:
        measure(args, *one)


main()
