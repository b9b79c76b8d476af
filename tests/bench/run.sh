#!/usr/bin/env bash
# Runs every benchmark, one after the other, and writes target/bench.json: a list of
# {id, value, unit, better, peer, peer_value, ratio, how}. Prints the same as a table.
# Usage: tests/bench/run.sh [CRATE:BENCH ...]   (all without arguments)
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(
    busyhour-controller-core:engine
    busyhour-log:durable
    busyhour-api:create
    busyhour-controller:accept
    busyhour-controller:pacing
    busyhour-agent-core:twiml
    busyhour-agent:calls
)
[ $# -gt 0 ] && all=("$@")

lines=target/bench.lines
mkdir -p target && : >"$lines"
for one in "${all[@]}"; do
    echo "== $one" >&2
    figures=$(cargo bench --quiet --locked -p "${one%%:*}" --bench "${one##*:}" | grep '^{.*"id":') ||
        { echo "$one failed or printed no figure" >&2; exit 1; }
    echo "$figures" >>"$lines"
done

python3 -c 'import json, sys; json.dump([json.loads(line) for line in open(sys.argv[1])], open(sys.argv[2], "w"), indent=1)' \
    "$lines" target/bench.json
tests/bench/table.py
echo "written: target/bench.json" >&2
