"""Durable accepts per second in Redis: 256 clients, one Lua call each at a time, appendfsync always; in turn over TCP on the
loopback, as our API is asked, and over a Unix socket, which costs less. Ours is measured in turn with them, since what a machine
does in a second may change within minutes."""

import json
import re
import subprocess

from servers import figure, redis, say

CLIENTS, REQUESTS, TENANTS, ROUNDS = 256, 400_000, 100_000, 5
OURS = ["cargo", "bench", "--quiet", "--locked", "-p", "busyhour-controller", "--bench", "accept"]


def run(transport, where, script):
    words = ["EVALSHA", script, "0", "__rand_int__", "+15551234567", "+15557654321", "https://example.com/voice", "0"]
    command = ["redis-benchmark", *where, "-c", str(CLIENTS), "-n", str(REQUESTS), "-r", str(TENANTS), *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(re.findall(r"throughput summary: ([0-9.]+)", out)[-1])
    latency = out.strip().splitlines()[-1].split()
    say(f"redis, {transport}: {rate:.0f} durable accepts/s; avg, min, p50, p95, p99, max ms: {' '.join(latency)}")
    return rate, latency[4]


def run_ours():
    out = subprocess.run([*OURS, "--", "round"], check=True, stdout=subprocess.PIPE, text=True).stdout
    best = json.loads(out)
    say(f"busyhour: {best['accepted_per_s']:.0f} durable accepts/s; p99 {best['p99_us']} us; tried: {best['tried']}")
    return best["accepted_per_s"], best["p99_us"], best["tried"]


subprocess.run([*OURS, "--no-run"], check=True)
with redis(appendfsync="always", tcp=True) as server:
    script = server.script("enqueue")
    ways = [
        ("redis.durable_accepts_per_s.tcp", "TCP on the loopback", ["-h", "127.0.0.1", "-p", str(server.port)]),
        ("redis.durable_accepts_per_s", "a Unix socket", ["-s", server.socket]),
    ]
    measured, ours = [], []
    for _ in range(ROUNDS):
        measured.append([run(transport, where, script) for _, transport, where in ways])
        ours.append(run_ours())

for (id, transport, _), runs in zip(ways, zip(*measured)):
    best, p99 = max(runs)
    figure(
        id, best, "1/s", "more",
        f"redis-benchmark, {CLIENTS} clients over {transport}, no HTTP, one request per call of a Lua script, appendfsync "
        f"always; best of {ROUNDS} runs of {REQUESTS}, of which p99 {p99} ms: {', '.join(f'{rate:.0f}' for rate, _ in runs)}",
    )
best, p99, _ = max(ours, key=lambda run: run[0])
figure(
    "accept.durable_per_s.256", best, "1/s", "more",
    f"in turn with Redis; p99 {p99} us; tried: {'; '.join(tried for _, _, tried in ours)}",
)
