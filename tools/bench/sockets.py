#!/usr/bin/env python3
"""Measures what run.py does not: publish to many connections against a loop of send, UDP echo against a C program that takes one
datagram at a time, and the CPU time of echo over unix sockets and UDP against a bare epoll loop.  Loopback only; by turns, in the given number of rounds; medians."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def build(folder, name):
    binary = os.path.join(folder, name)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu11", "-D_GNU_SOURCE", "-o", binary, f"{HERE}/{name}.c"], check=True)
    return binary


def unix_path(port):
    return os.path.join(tempfile.gettempdir(), f"luaserv-bench-{port}.sock")


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                    if int(file.read().rsplit(") ", 1)[1].split()[1]) == pid:
                        found += [int(entry)] + children(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, luaserv, mode, port):
        read_end, write_end = os.pipe()
        env = dict(os.environ, BENCH_MODE=mode, BENCH_PORT=str(port), BENCH_UDP_PORT=str(port + 1), BENCH_PATH=unix_path(port))
        self.process = subprocess.Popen(
            [luaserv, "-s", f"{HERE}/fanout.lua", "--ready-fd", str(write_end)], env=env, pass_fds=[write_end], stderr=subprocess.DEVNULL
        )
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            if not ready.readline():
                sys.exit("luaserv did not start")
        self.port = port

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in [self.process.pid] + children(self.process.pid))

    def resident(self):
        return sum(resident_kb(pid) for pid in [self.process.pid] + children(self.process.pid))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


def measure_publish(args, binary):
    print(f"{args.connections} connections, 1 KiB to each: ms until all have it, ms the handler took, KiB resident before and after")
    for mode in ("process", "base"):
        server = Server(args.luaserv, mode, args.port)
        run([binary, str(server.port), str(args.connections), "1024", "1"])
        before = server.resident()
        result = run([binary, str(server.port), str(args.connections), "1024", str(args.rounds)])
        after = server.resident()
        server.stop()
        for what in ("publish", "loop"):
            one = result[what]
            print(f"  {mode:8} {what:8} {one['delivered_ms']:8.2f} {one['handler_ms']:9.3f}  {before} {after}")


def measure_udp(args, binary):
    rates = {"one by one in C": [], "process": [], "base": []}
    for _ in range(args.rounds // 3 or 1):
        reference = subprocess.Popen([binary, "server", str(args.port + 10)])
        time.sleep(0.2)
        rates["one by one in C"].append(run([binary, "client", str(args.port + 10), str(args.datagrams), "128"]))
        reference.kill()
        reference.wait()
        for mode in ("process", "base"):
            server = Server(args.luaserv, mode, args.port)
            rates[mode].append(run([binary, "client", str(server.port + 1), str(args.datagrams), "128"]))
            server.stop()
    print(f"UDP echo, {args.datagrams} datagrams of 64 bytes: a second (ratio), lost")
    first = statistics.median(one["rate"] for one in rates["one by one in C"])
    for name, results in rates.items():
        rate = statistics.median(one["rate"] for one in results)
        print(f"  {name:16} {rate:8.0f} ({rate / first:.2f}) {sum(one['lost'] for one in results)}")


class Reference:
    """The bare epoll loop."""

    def __init__(self, binary, kind, where):
        self.process = subprocess.Popen([binary, "serve", kind, where])
        time.sleep(0.2)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        self.process.kill()
        self.process.wait()


def load_echo(binary, kind, where, server):
    before = server.cpu_seconds()
    result = run([binary, "load", kind, where, "50", "2"])
    each = (server.cpu_seconds() - before) * 1e5 / result["messages"]
    server.stop()
    if result["wrong"]:
        sys.exit(f"echo over {kind}: {result['wrong']} messages came back wrong")
    return each


def measure_echo(args, binary):
    print("echo of 64 bytes, 50 clients: CPU seconds of the server per 100k messages (ratio)")
    for kind in ("unix", "udp"):
        spent = {"epoll in C": [], "process": [], "base": []}
        for _ in range(args.rounds // 3 or 1):
            where = unix_path(args.port + 11) if kind == "unix" else str(args.port + 11)
            spent["epoll in C"].append(load_echo(binary, kind, where, Reference(binary, kind, where)))
            if kind == "unix":
                os.unlink(where)
            for mode in ("process", "base"):
                where = unix_path(args.port) if kind == "unix" else str(args.port + 1)
                spent[mode].append(load_echo(binary, kind, where, Server(args.luaserv, mode, args.port)))
        first = statistics.median(spent["epoll in C"])
        for name, each in spent.items():
            print(f"  {kind:5} {name:12} {statistics.median(each):.3f} ({statistics.median(each) / first:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--luaserv", default=f"{HERE}/../../build/release/bin/luaserv", help="the binary")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=9000)
    parser.add_argument("--datagrams", type=int, default=1000000)
    parser.add_argument("--port", type=int, default=18400, help="the first of 20 ports")
    parser.add_argument("--only", default="publish,udp,echo", help="what to measure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "publish" in args.only:
            measure_publish(args, build(folder, "fanout"))
        if "udp" in args.only:
            measure_udp(args, build(folder, "udp"))
        if "echo" in args.only:
            measure_echo(args, build(folder, "echo"))


main()
