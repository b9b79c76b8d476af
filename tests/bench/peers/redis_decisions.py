"""Decisions per second in Redis: GCRA and round robin in Lua, 1,000 decisions per call, 100,000 tenants."""

import time

from servers import figure, redis, say

TENANTS, EACH, BATCH, DECISIONS = 100_000, 10, 1_000, 1_000_000
SPACING_US = 1_000_000
# The clock moves on by what so many decisions take of all tenants' spacings: there is always a full batch ready.
STEP_US = SPACING_US * BATCH // TENANTS
ROUNDS = 3


def run():
    with redis() as server:
        client, fill, decide = server.client, server.script("queue"), server.script("decide")
        for first in range(0, TENANTS, BATCH):
            client.call("EVALSHA", fill, 0, first, first + BATCH, EACH, SPACING_US)
        made, now = 0, 2 * STEP_US
        cpu, clock = server.cpu_seconds(), time.monotonic()
        while made < DECISIONS:
            made += client.call("EVALSHA", decide, 0, now, BATCH)
            now += STEP_US
        cpu, clock = server.cpu_seconds() - cpu, time.monotonic() - clock
        say(f"redis: {made} decisions in {clock:.2f} s, {cpu:.2f} s of the server's CPU")
        return made / cpu


figure(
    "redis.decisions_per_core", max(run() for _ in range(ROUNDS)), "decisions/s", "more",
    f"{TENANTS} tenants of {EACH} queued, each with its own spacing; {BATCH} decisions per call of a Lua script (due times, ring, "
    f"pop, requeue), nothing on disk; per second of the server's CPU time, best of {ROUNDS} runs of {DECISIONS}",
)
