#!/usr/bin/env bash
# Runs the same work as `make bench` on Redis and PostgreSQL, and prints one table of ratios; figures in
# target/bench-peers.json. The servers are private: their data is under target/ and removed at the end.
# Usage: tests/bench/peers/run.sh [PROGRAM ...]   (all without arguments)
set -euo pipefail
cd "$(dirname "$0")/../../.."

lines=target/bench-peers.lines
mkdir -p target/bench-peers
trap 'rm -rf target/bench-peers' EXIT
all=(redis_decisions redis_accept redis_lateness redis_queue postgres_copy postgres_lateness)
if [ $# -gt 0 ]; then all=("$@"); else : >"$lines"; fi
seconds_max=600 # of one program

failed=()
for one in "${all[@]}"; do
    echo "== $one" >&2
    # A figure that is measured again counts in place of the last one.
    timeout --kill-after=90 --signal=INT "$seconds_max" python3 "tests/bench/peers/$one.py" >>"$lines" || failed+=("$one")
done

python3 tests/bench/peers/compare.py
echo "written: target/bench-peers.json" >&2
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
