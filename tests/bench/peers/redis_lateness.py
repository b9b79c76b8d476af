"""How late Redis dispatches at 100,000 dispatches/s: a sorted set of due times, polled by a Lua script, each dispatch in
the append-only file (appendfsync always) before it counts."""

import time

from servers import figure, percentile, redis, say

TENANTS, SECONDS, BATCH, ROUNDS = 100_000, 10, 1_000, 2
EVERY_US = 1_000_000
TO, FROM, URL = "+15551234567", "+15557654321", "https://example.com/voice"


def run(kind):
    """The 99th percentile of lateness in microseconds, and dispatches per second."""
    with redis(appendfsync="always") as server:
        client, fill = server.client, server.script("fill")
        schedule, dispatch = server.script("schedule"), server.script("dispatch")
        client.call("CONFIG", "SET", "appendfsync", "no")
        for first in range(0, TENANTS * (SECONDS + 1), BATCH):
            client.call("EVALSHA", fill, 0, first, BATCH, TENANTS, 0, TO, FROM, URL)
        start = time.time_ns() // 1_000 + 2_000_000
        for first in range(0, TENANTS, BATCH):
            client.call("EVALSHA", schedule, 0, first, first + BATCH, TENANTS, start)
        client.call("CONFIG", "SET", "appendfsync", "always")

        late, end = [], start + SECONDS * 1_000_000
        time.sleep(max(0, (start - time.time_ns() // 1_000) / 1e6))
        while len(late) < TENANTS * SECONDS:
            now = min(time.time_ns() // 1_000, end - 1)
            dues, _ = client.call("EVALSHA", dispatch, 0, now, BATCH, EVERY_US, kind)
            told = time.time_ns() // 1_000
            dues = dues.split()
            late.extend(told - int(due) for due in dues)
            if not dues:
                if now == end - 1:
                    raise SystemExit(f"{len(late)} dispatches instead of {TENANTS * SECONDS}")
                time.sleep(0.0005)
        took = (time.time_ns() // 1_000 - start) / 1e6
    p50, p99 = percentile(late, 500), percentile(late, 990)
    say(f"redis, {kind}: {len(late) / took:.0f} dispatches/s for {took:.1f} s; "
        f"p50 {p50 / 1e3:.1f} ms, p99 {p99 / 1e3:.1f} ms, max {late[-1] / 1e3:.1f} ms")
    return p99, len(late) / took


HOW = (f"{TENANTS} tenants due once a second for {SECONDS} s, {BATCH} at most per call of a Lua script, appendfsync always; "
       "from the due time to the answer that tells of it; {}; it made {:.0f}/s; "
       f"best of {ROUNDS} runs")
for name, kind, what in [
    ("redis.lateness_p99_us", "whole", "each request is read and put under those under way"),
    ("redis.lateness_bare_p99_us", "bare", "ids only: no request is read, nothing is put under way"),
]:
    p99, rate = min(run(kind) for _ in range(ROUNDS))
    figure(name, p99, "us", "less", HOW.format(what, rate))
