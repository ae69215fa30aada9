#!/usr/bin/env python3
"""Compares luaserv with nginx + lua (and C reference servers) under the same loads, by turns.

Rates depend on what else the machine does; ratios within one round and CPU seconds per 100,000 requests (user and
system time of all the server's processes) are the steadier figures.  Loopback only.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import measure
import servers

# name: which port, options of load.c; wrk takes the place of load.c where it can do the same.
LOADS = {
    "hello": ("http", ["--path", "/", "--conns", "50"]),
    "pipelined": ("http", ["--path", "/", "--conns", "50", "--depth", "16"]),
    "64k": ("http", ["--path", "/64k", "--conns", "50"]),
    "connect": ("http", ["--path", "/", "--conns", "50", "--close"]),
    "echo": ("echo", ["--echo", "64", "--conns", "50"]),
}
TITLES = {
    "hello": "HTTP keep-alive, 13 bytes, 50 connections",
    "pipelined": "the same, 16 requests pipelined",
    "64k": "HTTP keep-alive, 64 KiB, 50 connections",
    "connect": "HTTP, a connection per request, 50 at a time",
    "echo": "TCP echo, 64 bytes, 50 connections",
}
IDLE = "idle"
BASES = ["nginx", "epoll_hello"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--luaserv", default="build/release/bin/luaserv", help="the binary (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="length of one load (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[*LOADS, IDLE],
                        help="only these loads: " + ", ".join([*LOADS, IDLE]))
    parser.add_argument("--servers", metavar="A,B", help="only these servers, by name")
    parser.add_argument("--ref", metavar="DIR", help="folder with the C reference servers epoll_hello and proc_hello")
    parser.add_argument("--idle", type=int, default=10000, help="idle connections (default: %(default)s)")
    parser.add_argument("--client", choices=["wrk", "load"], default="wrk" if shutil.which("wrk") else "load",
                        help="client of the keep-alive loads (default: %(default)s)")
    parser.add_argument("--no-syscalls", action="store_true", help="do not count system calls")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser.parse_args()


def build_load(work):
    here = os.path.dirname(os.path.abspath(__file__))
    binary = os.path.join(work, "load")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu11", "-D_GNU_SOURCE", "-o", binary, here + "/load.c"],
                   check=True)
    return binary


def make_servers(args, work):
    made = []

    def add(make):
        try:
            result = make()
            made.extend(result if isinstance(result, list) else [result])
        except servers.Unavailable as why:
            print("left out:", why, file=sys.stderr)

    if os.access(args.luaserv, os.X_OK):
        for mode in ("base", "process"):
            add(lambda: servers.luaserv(os.path.abspath(args.luaserv), mode, work))
    else:
        print("left out: there is no", args.luaserv, "(tools/dev build)", file=sys.stderr)
    add(lambda: servers.nginx(work))
    if args.ref:
        add(lambda: servers.references(args.ref, work))
    if args.servers:
        made = [s for s in made if s.name in args.servers.split(",")]
    return made


def start(server):
    try:
        server.start()
        return True
    except servers.Unavailable as why:
        print("left out:", why, file=sys.stderr)
        return False


def load_command(args, load, name, server, seconds):
    kind, options = LOADS[name]
    port = server.ports[kind]
    if args.client == "wrk" and name in ("hello", "64k"):
        path = options[options.index("--path") + 1]
        return ["wrk", "-t1", "-c50", f"-d{max(1, round(seconds))}s", "--latency", f"http://127.0.0.1:{port}{path}"]
    return [load, "--port", str(port), "--secs", str(seconds)] + options


def run_loads(args, load, names, running):
    """{load: {server: [one result a round]}}; within a round the servers take turns, the first one changing."""
    results = {name: {} for name in names}
    for turn in range(args.rounds):
        order = running[turn % len(running):] + running[:turn % len(running)]
        for name in names:
            kind = LOADS[name][0]
            for server in order:
                if kind not in server.kinds or name in server.lacks:
                    continue
                command = load_command(args, load, name, server, args.seconds)
                result = measure.measured_load(command, args.seconds, server.pids(kind))
                results[name].setdefault(server.name, []).append(result)
                print(f"round {turn + 1} {name} {server.name}: {result['rate']:.0f}/s", file=sys.stderr)
    if not args.no_syscalls:
        count_syscalls(args, load, names, running, results)
    return results


def count_syscalls(args, load, names, running, results):
    for name in names:
        for server in running:
            if server.name in results[name]:
                command = load_command(args, load, name, server, 1)
                each = measure.syscalls_each(command, 1, server.pids(LOADS[name][0]))
                results[name][server.name][0]["syscalls"] = each


def run_idle(args, load, made):
    """{server: (PSS before, bytes per connection)}, each server newly started."""
    results = {}
    for server in made:
        if not start(server):
            continue
        try:
            results[server.name] = measure.bytes_per_idle(load, server.ports["http"], args.idle, server.pids("http"))
        except RuntimeError as why:
            print(f"idle {server.name}: {why}", file=sys.stderr)
        server.stop()
    return results


def median(rounds, key):
    values = [r[key] for r in rounds if r.get(key) is not None]
    return statistics.median(values) if values else None


def ratio(rounds, base, key):
    """The median of the ratios within each round."""
    pairs = [(a[key], b[key]) for a, b in zip(rounds, base or []) if b.get(key)]
    return statistics.median(a / b for a, b in pairs) if pairs else None


def cell(value, form):
    return "-" if value is None else format(value, form)


def print_table(head, rows):
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        print("  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths))).rstrip())
    print()


def print_load(name, of_servers):
    bases = [base for base in BASES if base in of_servers]
    head = ["server", "req/s", "p50 us", "p99 us", "CPU s/100k", "syscalls", "others", "errors"]
    head += [f"{what}/{base}" for base in bases for what in ("rate", "CPU")]
    rows = []
    for server, rounds in of_servers.items():
        row = [server, cell(median(rounds, "rate"), ".0f"), cell(median(rounds, "p50"), ".0f"),
               cell(median(rounds, "p99"), ".0f"), cell(median(rounds, "cpu"), ".3f"),
               cell(rounds[0].get("syscalls"), ".2f"), cell(median(rounds, "others"), ".2f"),
               str(sum(r["errors"] for r in rounds))]
        for base in bases:
            row += [cell(ratio(rounds, of_servers[base], key), ".2f") for key in ("rate", "cpu")]
        rows.append(row)
    print(TITLES[name])
    print_table(head, rows)


def print_idle(results, connections):
    bases = [base for base in BASES if results.get(base)]
    rows = []
    for server, (before, each) in results.items():
        rows.append([server, f"{before / 1024:.0f}", f"{each:.0f}"] + [cell(each / results[b][1], ".2f") for b in bases])
    print(f"Memory: PSS with {connections} idle keep-alive connections after one request each")
    print_table(["server", "KiB before", "bytes each"] + ["/" + base for base in bases], rows)


def main():
    args = parse_arguments()
    names = [name for name in LOADS if not args.only or name in args.only]
    with tempfile.TemporaryDirectory(prefix="luaserv-bench-") as work:
        load = build_load(work)
        made = make_servers(args, work)
        loads, idle = {}, {}
        try:
            running = [server for server in made if start(server)] if names else []
            if not running and names:
                sys.exit("no server to measure")
            loads = run_loads(args, load, names, running)
            for server in running:
                server.stop()
            if not args.only or IDLE in args.only:
                idle = run_idle(args, load, made)
        finally:
            for server in made:
                server.stop()
    for name, of_servers in loads.items():
        print_load(name, of_servers)
    if idle:
        print_idle(idle, args.idle)
    if args.json:
        with open(args.json, "w") as out:
            json.dump({"loads": loads, "idle": idle}, out, indent=1)


if __name__ == "__main__":
    main()
