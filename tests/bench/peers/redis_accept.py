"""Durable accepts per second in Redis: 256 clients, one Lua call each at a time, appendfsync always."""

import re
import subprocess

from servers import figure, redis, say

CLIENTS, REQUESTS, TENANTS, ROUNDS = 256, 600_000, 100_000, 3


def run(server, script):
    words = ["EVALSHA", script, "0", "__rand_int__", "+15551234567", "+15557654321", "https://example.com/voice", "0"]
    command = ["redis-benchmark", "-s", server.socket, "-c", str(CLIENTS), "-n", str(REQUESTS), "-r", str(TENANTS), *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(re.findall(r"throughput summary: ([0-9.]+)", out)[-1])
    latency = out.strip().splitlines()[-1].split()
    say(f"redis: {rate:.0f} durable accepts/s; avg, min, p50, p95, p99, max ms: {' '.join(latency)}")
    return rate, latency[4]


with redis(appendfsync="always") as server:
    script = server.script("enqueue")
    best, p99 = max(run(server, script) for _ in range(ROUNDS))

figure(
    "redis.durable_accepts_per_s", best, "1/s", "more",
    f"redis-benchmark, {CLIENTS} clients on a Unix socket, no HTTP, one request per call of a Lua script, appendfsync always; "
    f"best of {ROUNDS} runs of {REQUESTS}, of which p99 {p99} ms",
)
