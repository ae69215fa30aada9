#!/usr/bin/env python3
"""Measures tables and dicts in shared memory as a script calls them: operations a second of one process, and of two that use the same rows at
once; then a million keys that take more than a dict's 256 MiB. Medians of the given number of rounds. Loopback only."""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Server:
    def __init__(self, luaserv, port):
        read_end, write_end = os.pipe()
        env = dict(os.environ, BENCH_PORT=str(port))
        self.process = subprocess.Popen(
            [luaserv, "-s", f"{HERE}/shared.lua", "--ready-fd", str(write_end)], env=env, pass_fds=[write_end], stderr=subprocess.DEVNULL
        )
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            if not ready.readline():
                sys.exit("luaserv did not start")
        # Workers of base mode accept for themselves: connections until each has one.
        self.clients = {}
        while len(self.clients) < 2:
            client = socket.create_connection(("127.0.0.1", port))
            client.settimeout(300)
            self.clients.setdefault(self.pid_of(client), client)

    def pid_of(self, client):
        """Whose connection it is: the process that holds its other end."""
        local = "%04X" % client.getsockname()[1]
        client.sendall(b"dict:get, a number|1\n")
        client.recv(100)
        with open("/proc/net/tcp") as f:
            inode = next(line.split()[9] for line in f if line.split()[2].endswith(":" + local))
        for pid in os.listdir("/proc"):
            try:
                if pid.isdigit() and any(os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]" for fd in os.listdir(f"/proc/{pid}/fd")):
                    return int(pid)
            except OSError:
                continue
        sys.exit("a connection has no owner")

    def ask(self, text, clients):
        for client in clients:
            client.sendall(text.encode() + b"\n")
        return [client.makefile().readline().split() for client in clients]

    def resident(self):
        total = 0
        for pid in self.clients:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M)[1])
        return total // 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


def names():
    with open(f"{HERE}/shared.lua") as f:
        return re.findall(r'^\t\["([^"]+)"\]', f.read(), re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--luaserv", default=f"{HERE}/../../build/release/bin/luaserv", help="the binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000000, help="operations of one measurement")
    parser.add_argument("--keys", type=int, default=1000000, help="keys of the large dict")
    parser.add_argument("--port", type=int, default=8250)
    args = parser.parse_args()
    server = Server(args.luaserv, args.port)
    clients = list(server.clients.values())
    try:
        print("million operations a second: of one process, of each of two at once")
        for name in names():
            alone, both = [], []
            for _ in range(args.rounds):
                alone += [args.count / float(s[0]) / 1e6 for s in server.ask(f"{name}|{args.count}", clients[:1])]
                both += [args.count / float(s[0]) / 1e6 for s in server.ask(f"{name}|{args.count}", clients)]
            print(f"  {name:34} {statistics.median(alone):6.2f} {statistics.median(both):6.2f}")
        before = server.resident()
        for size in (100, 300):
            seconds, slowest, over, count, evicted, capacity, free = server.ask(f"fill|{args.keys}|{size}", clients[:1])[0]
            print(
                f"{args.keys} keys with {size} bytes in {int(capacity) >> 20} MiB: {args.keys / float(seconds) / 1e6:.2f} million a second; slowest "
                f"{slowest} us, {over} above 1 ms; {count} held, {evicted} evicted so far, {int(free) >> 20} MiB free"
            )
        print(f"resident, both workers: {before} MiB before, {server.resident()} MiB after")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
