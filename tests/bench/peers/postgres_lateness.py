"""How late PostgreSQL dispatches at 100,000 dispatches/s: a queue table taken from with SKIP LOCKED, tenants split over
the workers (so that none is dispatched twice), each dispatch committed before it counts."""

import os
import time

from servers import HERE, figure, finished, percentile, postgres, say

TENANTS, SECONDS, BATCH, ROUNDS = 100_000, 10, 1_000, 2
WORKERS = os.cpu_count() or 2


def run():
    """The lateness of every dispatch in microseconds, and dispatches per second."""
    with postgres() as server:
        with open(os.path.join(HERE, "dispatch.sql")) as file:
            server.run(file.read())
        server.run(f"""
            INSERT INTO queue
                SELECT n, n % {TENANTS}, n % {TENANTS} % {WORKERS}, n * 1000000 / {TENANTS}, 0, '+15551234567', '+15557654321',
                    'https://example.com/voice'
                FROM generate_series(0, {TENANTS * SECONDS - 1}::bigint) AS n;
            CREATE INDEX ON queue (worker, due) WHERE state = 0;
        """)
        server.run("VACUUM ANALYZE queue")
        server.run("CHECKPOINT")
        share = [len(range(me, TENANTS, WORKERS)) * SECONDS for me in range(WORKERS)]
        start = time.time_ns() // 1_000 + 1_000_000
        workers = [server.psql(f"CALL dispatch({me}, {start}, {share[me]}, {BATCH})") for me in range(WORKERS)]
        late = []
        for worker in workers:
            for line in finished(worker)[1].splitlines():
                if line.startswith("NOTICE:  late "):
                    late += map(int, line[len("NOTICE:  late "):].split())
        took = (time.time_ns() // 1_000 - start) / 1e6
    if len(late) != TENANTS * SECONDS:
        raise SystemExit(f"{len(late)} dispatches instead of {TENANTS * SECONDS}")
    p50, p99 = percentile(late, 500), percentile(late, 990)
    say(f"postgres: {len(late) / took:.0f} dispatches/s for {took:.1f} s; "
        f"p50 {p50 / 1e3:.1f} ms, p99 {p99 / 1e3:.1f} ms, max {late[-1] / 1e3:.1f} ms")
    return p99, len(late) / took


p99, rate = min(run() for _ in range(ROUNDS))
figure(
    "postgres.lateness_p99_us", p99, "us", "less",
    f"{TENANTS} tenants due once a second for {SECONDS} s, {WORKERS} workers in the server, tenants split over them, SKIP LOCKED, "
    f"{BATCH} at most per transaction, each committed with fsync; from the due time to the end of its commit; it made {rate:.0f}/s; "
    f"best of {ROUNDS} runs",
)
