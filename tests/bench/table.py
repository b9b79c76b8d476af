#!/usr/bin/env python3
"""The figures of target/bench.json as a table: for a terminal, or with --markdown for docs/BENCHMARKS.md."""

import json
import sys

markdown = "--markdown" in sys.argv
figures = json.load(open("target/bench.json"))
row = "| {} | {} | {} | {} | {} | {} |" if markdown else "{:30} {:>12} {:16} {:6} {:>40} {:>7}"
print(row.format("id", "value", "unit", "better", "peer", "ratio"))
if markdown:
    print("|---|---:|---|---|---|---:|")
for f in figures:
    value = f"{f['value']:,.0f}" if abs(f["value"]) >= 100 else f"{f['value']:,.3g}"
    peer = f"{f['peer']} ({f['peer_value']:,.0f})" if f.get("peer") else ""
    ratio = f"{f['ratio']:.2f}" if f.get("ratio") is not None else ""
    print(row.format(f["id"], value, f["unit"], f["better"], peer, ratio))
