"""Our figures beside the peers' of target/bench-peers.lines, with the ratio that each should reach. Ours are those of
target/bench.json, or of the same run with the peer where there are such. Writes target/bench-peers.json in the form of
target/bench.json, and prints the table."""

import json
import os

# Ours, the peer's, and the ratio ours / peer: at least that where more is better, at most that where less is. Without a
# required ratio the line is there to show how the peer does with less work or more hands.
PAIRS = [
    ("engine.full_decisions_per_core", "redis.decisions_per_core", 60),
    ("engine.bytes_per_request", "redis.bytes_per_request", 1 / 8),
    ("engine.bytes_per_request", "redis.bytes_per_request_in_lists", None),
    ("accept.durable_per_s.256", "redis.durable_accepts_per_s.tcp", 1.3),
    ("accept.durable_per_s.256", "redis.durable_accepts_per_s", 1.3),
    ("accept.open_loop_per_s.256", "redis.durable_accepts_per_s.tcp", None),
    ("accept.open_loop_per_s.256", "redis.durable_accepts_per_s", None),
    ("accept.bulk_per_s", "postgres.copy_rows_per_s", 2),
    ("accept.bulk_per_s", "postgres.copy_rows_per_s.2", None),
    ("dispatch.lateness_p99_us", "redis.lateness_p99_us", 1 / 100),
    ("dispatch.lateness_p99_us", "redis.lateness_bare_p99_us", None),
    ("dispatch.lateness_p99_us", "postgres.lateness_p99_us", 1 / 100),
    ("restart.seconds_10m", "redis.restart_seconds", 1 / 10),
]


def read(path, lines):
    """The figures of a file by their ids."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        figures = [json.loads(line) for line in file] if lines else json.load(file)
    return {figure["id"]: figure for figure in figures}


def short(value):
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def ratio_of(value):
    if not value:
        return "" if value is None else "0"
    return f"{value:.2f}" if value >= 1 else f"1/{1 / value:.3g}"


peers = read("target/bench-peers.lines", lines=True)
# What was measured in turn with a peer says more beside it than what was measured at another time.
ours = read("target/bench.json", lines=False) | peers
row = "{:32} {:>13} {:36} {:>13} {:>9} {:>9}  {}"
print(row.format("id", "ours", "peer", "theirs", "ratio", "required", ""))
written = []
for id, peer, required in PAIRS:
    mine, theirs = ours.get(id), peers.get(peer)
    value, beside = mine and mine["value"], theirs and theirs["value"]
    ratio = value / beside if value is not None and beside else None
    verdict = ""
    if required and ratio is not None:
        reached = ratio >= required if theirs["better"] == "more" else ratio <= required
        verdict = "reached" if reached else "short"
    print(row.format(id, short(value), peer, short(beside), ratio_of(ratio), ratio_of(required), verdict))
    if theirs:
        written.append({
            "id": id, "value": value, "unit": theirs["unit"], "better": theirs["better"], "peer": peer, "peer_value": beside,
            "ratio": ratio, "required": required, "how": theirs["how"],
        })
with open("target/bench-peers.json", "w") as file:
    json.dump(written, file, indent=1)
