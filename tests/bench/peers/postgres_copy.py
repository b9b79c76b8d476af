"""Rows per second that COPY makes durable in PostgreSQL's indexed queue table; the server reads the file itself."""

import os
import time

from servers import figure, finished, postgres, say

ROWS, TENANTS, ROUNDS = 1_000_000, 100_000, 2
TABLE = """
CREATE TABLE queue (
    id bigint PRIMARY KEY, tenant int NOT NULL, due bigint NOT NULL, state smallint NOT NULL DEFAULT 0,
    callee text NOT NULL, caller text NOT NULL, url text NOT NULL
);
CREATE INDEX ON queue (tenant, due) WHERE state = 0;
"""


def copy(server, parts):
    """Seconds for the rows, copied by so many sessions at once."""
    server.run("DROP TABLE IF EXISTS queue;" + TABLE + "CHECKPOINT;")
    files = []
    for part in range(parts):
        path = os.path.join(server.sockets, f"rows-{part}")
        with open(path, "w") as file:
            for id in range(part, ROWS, parts):
                file.write(f"{id}\t{id % TENANTS}\t{id}\t0\t+1555{id:07}\t+15557654321\thttps://example.com/voice\n")
        os.chmod(path, 0o644)
        files.append(path)
    begun = time.monotonic()
    copies = [server.psql(f"COPY queue FROM '{path}'") for path in files]
    for process in copies:
        finished(process)
    took = time.monotonic() - begun
    for path in files:
        os.remove(path)
    say(f"postgres: {ROWS} rows by {parts} COPY in {took:.2f} s")
    return took


HOW = (f"{ROWS} rows of {TENANTS} tenants from files that the server reads, into a table with a primary key and an index by tenant "
       f"and due time, committed with fsync; {{}}, best of {ROUNDS} runs")
with postgres() as server:
    one, two = (min(copy(server, parts) for _ in range(ROUNDS)) for parts in [1, 2])
figure("postgres.copy_rows_per_s", ROWS / one, "rows/s", "more", HOW.format("one COPY"))
figure("postgres.copy_rows_per_s.2", ROWS / two, "rows/s", "more", HOW.format("two COPY at once"))
