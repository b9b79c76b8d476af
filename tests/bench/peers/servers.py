"""Private Redis and PostgreSQL servers for the peers' benchmarks: their data under target/, Unix sockets, a port of
the loopback only if asked for, stopped and removed at the end, and a client of Redis that costs little."""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.abspath(os.path.join(HERE, "../../../target/bench-peers"))
START_S = 60


def say(line):
    print(line, file=sys.stderr, flush=True)


def figure(id, value, unit, better, how):
    """One line of target/bench-peers.lines."""
    print(json.dumps({"id": id, "value": value, "unit": unit, "better": better, "how": how}), flush=True)


def wait_for(what, ready, process):
    """Until `ready()`; an error if the process has ended or START_S have passed."""
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode} instead of starting")
        if time.monotonic() > until:
            sys.exit(f"{what} was not ready within {START_S} s")
        time.sleep(0.01)


def stop(process, how):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def folders(owner=None):
    """A folder for data on the disk of target/, and one with a short path for sockets."""
    os.makedirs(DATA, exist_ok=True)
    data, sockets = tempfile.mkdtemp(dir=DATA), tempfile.mkdtemp(prefix="bench-peers-")
    try:
        if owner:
            shutil.chown(data, owner)
            shutil.chown(sockets, owner)
        yield data, sockets
    finally:
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


class Redis:
    """redis-server; `appendfsync` is None (no file), or "always" or "everysec". With `tcp` it also listens on a port."""

    def __init__(self, data, sockets, appendfsync=None, tcp=False):
        self.data, self.socket = data, os.path.join(sockets, "redis.sock")
        self.port = free_port() if tcp else 0
        self.appendfsync, self.process, self.client = appendfsync, None, None

    def start(self):
        """Starts it and waits until it has loaded its data; gives the seconds that took."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket, "--dir", self.data, "--save", "", "--daemonize", "no"]
        if self.appendfsync:
            options += ["--appendonly", "yes", "--appendfsync", self.appendfsync]
            options += ["--auto-aof-rewrite-percentage", "0"]
        begun = time.monotonic()
        log = open(os.path.join(self.data, "log"), "ab")
        self.process = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
        wait_for("redis-server", self._loaded, self.process)
        return time.monotonic() - begun

    def _loaded(self):
        try:
            self.client = Client(self.socket)
            return self.client.call("PING") == b"PONG"
        except (OSError, RuntimeError):
            return False

    def stop(self):
        if self.process:
            stop(self.process, signal.SIGTERM)

    def info(self, field):
        text = self.client.call("INFO", "everything").decode()
        return next(line.split(":", 1)[1] for line in text.splitlines() if line.startswith(field + ":"))

    def cpu_seconds(self):
        return float(self.info("used_cpu_user_main_thread")) + float(self.info("used_cpu_sys_main_thread"))

    def script(self, name):
        """Loads NAME.lua, and gives its digest."""
        with open(os.path.join(HERE, name + ".lua")) as file:
            return self.client.call("SCRIPT", "LOAD", file.read()).decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def redis(appendfsync=None, tcp=False):
    with folders() as (data, sockets):
        server = Redis(data, sockets, appendfsync, tcp)
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Client:
    """As much of the RESP protocol as the scripts here speak."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb", 1 << 20)

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        raise RuntimeError(f"redis: {line!r}")


class Postgres:
    """A cluster of PostgreSQL, durable as installed, with memory and checkpoints sized for the work."""

    SETTINGS = {
        "listen_addresses": "",
        "shared_buffers": "1GB",
        "max_wal_size": "16GB",
        "min_wal_size": "2GB",
        "wal_buffers": "64MB",
        "checkpoint_timeout": "30min",
        "autovacuum": "off",
    }

    def __init__(self, data, sockets):
        self.data, self.sockets, self.process = os.path.join(data, "cluster"), sockets, None
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.user = "postgres" if os.geteuid() == 0 else None

    def start(self):
        initdb = [f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-instructions"]
        subprocess.run(initdb, check=True, user=self.user, stdout=subprocess.DEVNULL, cwd="/")
        options = ["-D", self.data, "-k", self.sockets]
        for key, value in self.SETTINGS.items():
            options += ["-c", f"{key}={value}"]
        log = open(os.path.join(self.sockets, "log"), "ab")
        self.process = subprocess.Popen(
            [f"{self.bin}/postgres", *options], user=self.user, stdout=log, stderr=log, cwd="/"
        )
        ready = [f"{self.bin}/pg_isready", "-q", "-h", self.sockets]
        wait_for("postgres", lambda: subprocess.run(ready).returncode == 0, self.process)

    def psql(self, sql):
        """A psql process that runs this, quietly."""
        command = [f"{self.bin}/psql", "-h", self.sockets, "-U", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, sql):
        """The statement's output and notices."""
        return finished(self.psql(sql))

    def stop(self):
        if self.process:
            stop(self.process, signal.SIGINT)


def finished(process):
    out, notices = process.communicate()
    if process.returncode != 0:
        sys.exit(f"psql failed: {notices}")
    return out.strip(), notices


@contextlib.contextmanager
def postgres():
    with folders(owner="postgres" if os.geteuid() == 0 else None) as (data, sockets):
        server = Postgres(data, sockets)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def percentile(values, permille):
    """The value below which that many thousandths lie; `values` are sorted in place."""
    values.sort()
    return values[min(len(values) - 1, len(values) * permille // 1000)]
