"""What is read about a process tree while a load runs: CPU, memory, system calls."""
import json
import os
import re
import shutil
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def tree(roots):
    """These processes and all their descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        children.setdefault(int(stat[stat.rindex(")") + 2:].split()[1]), []).append(int(entry))
    found, queue = [], list(roots)
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return sorted(found)


def cpu_seconds(pids):
    """User and system time of all threads: of the scheduler in nanoseconds where the kernel tells, else in ticks."""
    total = 0.0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            total += thread_seconds(f"/proc/{pid}/task/{thread}")
    return total


def thread_seconds(folder):
    try:
        with open(folder + "/schedstat") as f:
            return int(f.read().split()[0]) / 1e9
    except (OSError, IndexError, ValueError):
        pass
    try:
        with open(folder + "/stat") as f:
            stat = f.read()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def machine_busy():
    """CPU seconds that the whole machine has worked so far."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = [int(x) for x in f.readline().split()[1:8]]
    return (user + nice + system + irq + softirq) / TICK


def pss_bytes(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                match = re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M)
        except OSError:
            continue
        total += int(match[1]) * 1024 if match else 0
    return total


def parse_wrk(text):
    unit = {"us": 1, "ms": 1e3, "s": 1e6}
    latency = {"p" + p: float(v) * unit[u]
               for p, v, u in re.findall(r"^\s+(50|90|99)%\s+([\d.]+)(us|ms|s)$", text, re.M)}
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    served = int(re.search(r"(\d+) requests in", text)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    return {"served": served, "rate": rate, "errors": errors + (int(bad[1]) if bad else 0), **latency}


def parse_load(text):
    out = json.loads(text)
    return {"served": out["served"], "rate": out["req_per_s"], "errors": out["errors"], **out["latency_us"]}


def run_load(command, seconds):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, stdin=subprocess.DEVNULL)
    if not done.stdout.strip():
        raise RuntimeError(" ".join(command) + ": " + done.stderr.strip())
    return parse_wrk(done.stdout) if "Requests/sec" in done.stdout else parse_load(done.stdout)


def measured_load(command, seconds, roots):
    """One run: rate, latency, CPU seconds for 100,000 requests, and the share of the machine that others used."""
    pids = tree(roots)
    cpu, busy, child = cpu_seconds(pids), machine_busy(), os.times()
    result = run_load(command, seconds)
    cpu = cpu_seconds(pids) - cpu
    after = os.times()
    client = after.children_user + after.children_system - child.children_user - child.children_system
    wall = after.elapsed - child.elapsed
    result["cpu"] = cpu * 1e5 / max(result["served"], 1)
    result["others"] = max(0.0, machine_busy() - busy - cpu - client) / (wall * (os.cpu_count() or 1))
    return result


def syscalls_each(command, seconds, roots):
    """System calls of the servers per request, by perf, else by strace; None where neither may watch."""
    pids = ",".join(map(str, tree(roots)))
    if shutil.which("perf"):
        done = subprocess.run(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", pids, "--"] + command,
                              capture_output=True, text=True, timeout=seconds + 30, stdin=subprocess.DEVNULL)
        match = re.search(r"^(\d+),[^,]*,raw_syscalls:sys_enter", done.stderr, re.M)
        if match and done.stdout.strip():
            parse = parse_wrk if "Requests/sec" in done.stdout else parse_load
            return int(match[1]) / max(parse(done.stdout)["served"], 1)
    return strace_each(command, seconds, pids)


def strace_each(command, seconds, pids):
    if not shutil.which("strace"):
        return None
    watch = subprocess.Popen(["strace", "-c", "-f", "-q", "-p", pids], stderr=subprocess.PIPE, text=True)
    result = run_load(command, seconds)
    watch.terminate()
    match = re.search(r"^100\.00\s+[\d.]+\s+\d*\s+(\d+)\s+(?:\d+\s+)?total$", watch.communicate()[1], re.M)
    return int(match[1]) / max(result["served"], 1) if match else None


def bytes_per_idle(load, port, connections, roots, echo=None):
    """(PSS before, PSS per connection) with so many idle connections after one exchange on each."""
    warm = [load, "--port", str(port), "--conns", "4", "--secs", "0.3"] + (["--echo", str(echo)] if echo else [])
    run_load(warm, 1)
    before = pss_bytes(tree(roots))
    command = [load, "--port", str(port), "--idle", str(connections)] + (["--echo", str(echo)] if echo else [])
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready = holder.stdout.readline()
    after = pss_bytes(tree(roots)) if ready else 0
    out, problem = holder.communicate()
    if not ready or json.loads(out)["alive"] != connections:
        raise RuntimeError("idle connections did not last: " + (problem or out).strip())
    return before, (after - before) / connections
