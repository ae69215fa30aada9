"""The servers that are compared: how each is started, where it listens, how it ends."""
import os
import select
import shutil
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))

NGINX_CONF = """
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.error.log warn;
worker_rlimit_nofile 20000;
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
events {{ worker_connections 19000; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type text/plain;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    init_by_lua_block {{ large = string.rep("0123456789abcdef", 4096) }}
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        location = /64k {{ content_by_lua_block {{
            ngx.header["Content-Type"] = "text/plain"; ngx.header["Content-Length"] = #large; ngx.print(large) }} }}
        location / {{ content_by_lua_block {{
            ngx.header["Content-Type"] = "text/plain"; ngx.header["Content-Length"] = 13; ngx.print("Hello, world!") }} }}
    }}
}}
"""


class Unavailable(Exception):
    """This server cannot run here; the text says why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def find_nginx():
    """nginx and the folder of its modules."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    modules = "/usr/lib/nginx/modules"
    if not os.access(nginx, os.X_OK) or not os.path.exists(modules + "/ngx_http_lua_module.so"):
        raise Unavailable("nginx with libnginx-mod-http-lua is not installed (deps/install bench)")
    return nginx, modules


class Server:
    """One server under test; its process tree is measured.  kinds: which ports it has, "http" and "echo"."""

    lacks = ()  # loads that it does not serve

    def __init__(self, name, kinds, command, work, environment=None, ready_fd=False):
        self.name, self.kinds, self.command, self.ready_fd = name, kinds, command, ready_fd
        self.work = os.path.join(work, name)
        self.environment = environment or {}
        self.ports = {}
        self.processes = []

    def start(self):
        """The command is a function of ports; one process for each list it returns."""
        os.makedirs(self.work, exist_ok=True)
        self.ports = {kind: free_port() for kind in self.kinds}
        for command in self.command(self):
            self.processes.append(self.spawn(command))
        for port in self.ports.values():
            self.wait_for(port)

    def spawn(self, command):
        environment = dict(os.environ, LUASERV_RUNTIME_DIR=self.work)
        environment.update({k: v(self) if callable(v) else v for k, v in self.environment.items()})
        read, write = os.pipe()
        with open(self.work + "/log", "ab") as log:
            extra = ["--ready-fd", str(write)] if self.ready_fd else []
            process = subprocess.Popen(command + extra, env=environment, cwd=self.work, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, pass_fds=[write] if self.ready_fd else [])
        os.close(write)
        if self.ready_fd and (not select.select([read], [], [], 20)[0] or not os.read(read, 4096)):
            process.kill()
            raise Unavailable(self.name + " did not start: " + self.log())
        os.close(read)
        return process

    def log(self):
        with open(self.work + "/log", errors="replace") as log:
            return log.read()[-800:].strip()

    def wait_for(self, port):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if any(p.poll() is not None for p in self.processes):
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise Unavailable(self.name + " did not start: " + self.log())

    def pids(self, kind=None):
        """Roots of the process trees that serve this kind of port."""
        if kind and len(self.processes) > 1:
            return [self.processes[self.kinds.index(kind)].pid]
        return [p.pid for p in self.processes]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []


def luaserv(binary, mode, work):
    def command(server):
        workers = ["-o", "worker_num=1"] + (["-o", "reactor_num=1"] if mode == "process" else [])
        return [[binary, "-s", HERE + "/bench.lua", "-o", "mode=" + mode, "-o", "log_level=warn"] + workers]

    environment = {"BENCH_MODE": mode,
                   "BENCH_HTTP_PORT": lambda server: str(server.ports["http"]),
                   "BENCH_ECHO_PORT": lambda server: str(server.ports["echo"])}
    return Server("luaserv-" + mode, ["http", "echo"], command, work, environment, ready_fd=True)


def nginx(work):
    binary, modules = find_nginx()

    def command(server):
        conf = server.work + "/nginx.conf"
        with open(conf, "w") as out:
            out.write(NGINX_CONF.format(work=server.work, modules=modules, http=server.ports["http"]))
        # Started as root, nginx would give its worker's folders to another user.
        user = ["-g", "user root;"] if os.getuid() == 0 else []
        return [[binary, "-c", conf, "-p", server.work, "-e", server.work + "/nginx.error.log"] + user]

    return Server("nginx", ["http"], command, work)


def references(folder, work):
    """The C servers of a folder with a Makefile: one epoll loop, and reactor and worker joined by a ring."""
    copy = os.path.join(work, "reference")
    shutil.copytree(folder, copy)
    built = subprocess.run(["make", "-s", "-C", copy, "epoll_hello", "proc_hello"], capture_output=True, text=True)
    if built.returncode:
        raise Unavailable("the reference servers in " + folder + " do not build: " + built.stderr[-300:])

    def epoll(server):
        return [[copy + "/epoll_hello", "--port", str(server.ports["http"])],
                [copy + "/epoll_hello", "--port", str(server.ports["echo"]), "--mode", "echo"]]

    def ring(server):
        return [[copy + "/proc_hello", "--ipc", "ring", "--port", str(server.ports["http"])]]

    proc_hello = Server("proc_hello", ["http"], ring, work)
    proc_hello.lacks = ("64k",)
    return [Server("epoll_hello", ["http", "echo"], epoll, work), proc_hello]
