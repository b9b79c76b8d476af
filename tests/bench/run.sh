#!/usr/bin/env bash
# Runs every benchmark, one after the other, and writes target/bench.json: a list of
# {id, value, unit, better, peer, peer_value, ratio, how}. Prints the same as a table. A program that fails, prints no
# figure or takes too long is named with what it said last; the others still run, and the end is an error.
# Usage: tests/bench/run.sh [CRATE:BENCH ...]   (all without arguments)
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(
    busyhour-controller-core:engine
    busyhour-controller-core:full
    busyhour-controller-core:storage
    busyhour-log:durable
    busyhour-api:create
    busyhour-controller:accept
    busyhour-controller:pacing
    busyhour-controller:restart
    busyhour-controller:bulk
    busyhour-controller:lateness
    busyhour-agent-core:twiml
    busyhour-agent:calls
)
[ $# -gt 0 ] && all=("$@")
seconds_max=240 # of one program, once it is built

lines=target/bench.lines
mkdir -p target/bench-said && : >"$lines"
failed=()
for one in "${all[@]}"; do
    cargo bench --quiet --locked --no-run -p "${one%%:*}" --bench "${one##*:}" || failed+=("$one: does not build")
done
for one in "${all[@]}"; do
    case " ${failed[*]-} " in *" $one: does not build "*) continue ;; esac
    echo "== $one" >&2
    said=target/bench-said/${one/:/-}
    began=$SECONDS status=0
    timeout --kill-after=10 "$seconds_max" cargo bench --quiet --locked -p "${one%%:*}" --bench "${one##*:}" \
        >"$said.out" 2> >(tee "$said.err" >&2) || status=$?
    if [ "$status" = 0 ] && grep '^{.*"id":' "$said.out" >>"$lines"; then
        echo "-- $((SECONDS - began)) s" >&2
        continue
    fi
    case $status in
        0) why="printed no figure" ;;
        124 | 137) why="was not done after $seconds_max s" ;;
        *) why="ended with status $status" ;;
    esac
    failed+=("$one: $why. Its last words: $(tail -n 5 "$said.err")")
done

python3 -c 'import json, sys; json.dump([json.loads(line) for line in open(sys.argv[1])], open(sys.argv[2], "w"), indent=1)' \
    "$lines" target/bench.json
tests/bench/table.py
echo "written: target/bench.json" >&2
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
