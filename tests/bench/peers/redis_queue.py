"""Queued requests in Redis: bytes for each beyond its strings, and how long a restart takes with ten million."""

import sys
import time

import servers
from servers import figure, redis, say

QUEUED = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
TENANTS, BATCH, AHEAD = 100_000, 1_000, 16
RESTART_S = 300
TO, FROM, URL = "+15551234567", "+15557654321", "https://example.com/voice"
START_US = 1_700_000_000_000_000
STRINGS = len(TO) + len(FROM) + len(URL)


def fill(server, count, how):
    """Queues so many, and gives the bytes that each takes beyond its strings."""
    client, script = server.client, server.script("fill")
    empty, begun, waiting = int(server.info("used_memory")), time.monotonic(), 0
    for first in range(0, count, BATCH):
        client.send("EVALSHA", script, 0, first, min(BATCH, count - first), TENANTS, START_US, TO, FROM, URL, how)
        waiting += 1
        if waiting > AHEAD:
            client.receive()
            waiting -= 1
    for _ in range(waiting):
        client.receive()
    each = (int(server.info("used_memory")) - empty) / count - STRINGS
    say(f"redis, {how}: {count} requests queued in {time.monotonic() - begun:.0f} s, {each:.0f} B each beyond strings")
    return each


def bytes_figure(name, count, how, what):
    figure(name, round(fill(server, count, how), 1), "B", "less",
           f"growth of used_memory by {count} requests of {TENANTS} tenants, less the {STRINGS} B of each one's strings: {what}")


with redis() as server:
    bytes_figure("redis.bytes_per_request", QUEUED // 10, "due",
                 "a hash per request and one sorted set of due times, so that any can be scheduled and cancelled")

with redis(appendfsync="everysec") as server:
    client = server.client
    client.call("CONFIG", "SET", "appendonly", "no")
    bytes_figure("redis.bytes_per_request_in_lists", QUEUED, "lists",
                 "a hash per request and a plain list of ids per tenant: no schedule, and no cancelling out of the middle")
    # The file is rewritten: it holds the data in the compact form of a dump, which is what loads fastest.
    client.call("CONFIG", "SET", "appendonly", "yes")
    while server.info("aof_rewrite_in_progress") == "1" or server.info("aof_rewrite_scheduled") == "1":
        time.sleep(0.1)
    if server.info("aof_last_bgrewrite_status") != "ok":
        sys.exit("redis could not write its file: is there memory for a second copy?")
    server.stop()
    servers.START_S = RESTART_S
    took = server.start()
    left = server.client.call("DBSIZE")
    if left < QUEUED:
        sys.exit(f"{left} keys after the restart")
    say(f"redis: back after {took:.1f} s")
    figure("redis.restart_seconds", round(took, 3), "s", "less",
           f"{QUEUED} queued in lists, from start of the process to its first answer; its file was just rewritten as a dump, no tail")
