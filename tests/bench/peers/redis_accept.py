"""Durable accepts per second in Redis: 256 clients, one Lua call each at a time, appendfsync always; in turn over TCP on the
loopback, as our API is asked, and over a Unix socket, which costs less."""

import re
import subprocess

from servers import figure, redis, say

CLIENTS, REQUESTS, TENANTS, ROUNDS = 256, 400_000, 100_000, 3


def run(transport, where, script):
    words = ["EVALSHA", script, "0", "__rand_int__", "+15551234567", "+15557654321", "https://example.com/voice", "0"]
    command = ["redis-benchmark", *where, "-c", str(CLIENTS), "-n", str(REQUESTS), "-r", str(TENANTS), *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(re.findall(r"throughput summary: ([0-9.]+)", out)[-1])
    latency = out.strip().splitlines()[-1].split()
    say(f"redis, {transport}: {rate:.0f} durable accepts/s; avg, min, p50, p95, p99, max ms: {' '.join(latency)}")
    return rate, latency[4]


with redis(appendfsync="always", tcp=True) as server:
    script = server.script("enqueue")
    ways = [
        ("redis.durable_accepts_per_s.tcp", "TCP on the loopback", ["-h", "127.0.0.1", "-p", str(server.port)]),
        ("redis.durable_accepts_per_s", "a Unix socket", ["-s", server.socket]),
    ]
    measured = [[run(transport, where, script) for _, transport, where in ways] for _ in range(ROUNDS)]

for (id, transport, _), runs in zip(ways, zip(*measured)):
    best, p99 = max(runs)
    figure(
        id, best, "1/s", "more",
        f"redis-benchmark, {CLIENTS} clients over {transport}, no HTTP, one request per call of a Lua script, appendfsync "
        f"always; best of {ROUNDS} runs of {REQUESTS}, of which p99 {p99} ms",
    )
