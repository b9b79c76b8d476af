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
    figures=$(cargo bench --quiet --locked -p "${one%%:*}" --bench "${one##*:}" | grep '^{"id"') ||
        { echo "$one failed or printed no figure" >&2; exit 1; }
    echo "$figures" >>"$lines"
done

python3 - "$lines" target/bench.json <<'PY'
import json, sys
figures = [json.loads(line) for line in open(sys.argv[1])]
json.dump(figures, open(sys.argv[2], "w"), indent=1)
print(f"{'id':34} {'value':>14} {'unit':12} {'better':6} {'peer':34} {'ratio':>7}")
for f in figures:
    ratio = f"{f['ratio']:.2f}" if f.get("ratio") is not None else ""
    peer = f"{f['peer']} ({f['peer_value']:,.4g})" if f.get("peer") else ""
    print(f"{f['id']:34} {f['value']:>14,.6g} {f['unit']:12} {f['better']:6} {peer:34} {ratio:>7}")
PY
echo "written: target/bench.json" >&2
