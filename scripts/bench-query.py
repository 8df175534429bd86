#!/usr/bin/env python3
"""The questions of collector/query/benches/query.rs, asked of DuckDB and chDB
over one flat Parquet file with the same rows, and a table of all figures.

Usage: bench-query.py DATA ROUNDS, where DATA has the store and weir.jsonl."""

import json
import os
import statistics
import sys
import time

import chdb
import duckdb

DATA, ROUNDS = sys.argv[1], int(sys.argv[2])
FLAT = f"{DATA}/flat.parquet"
SIDES = ["pod_name", "ns", "workload_name", "workload_kind", "node_name", "zone", "region"]
FACTS = ["time", "start", '"end"', "bytes", "packets", "proto", "addr", "dst_addr", "port", "dst_port",
         "direction", "exporter_node", '"primary"', "verdict", "server"]


def flatten(db):
    """The store's rows with names in place of numbers, by time, as these engines would keep them."""
    if os.path.exists(FLAT):
        return
    names = ", ".join(f"s.{n} AS {n}, d.{n} AS dst_{n}" for n in SIDES)
    who = f"(SELECT DISTINCT ON (id) * FROM read_parquet('{DATA}/store/raw-*.identities.parquet'))"
    db.execute(f"""COPY (
        SELECT {", ".join("f." + c for c in FACTS)}, {names}
        FROM read_parquet('{DATA}/store/raw-*.flows.parquet', union_by_name=true) f
        JOIN {who} s ON f.src_id = s.id JOIN {who} d ON f.dst_id = d.id
        ) TO '{FLAT}.part' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)""")
    os.rename(f"{FLAT}.part", FLAT)


TOP = "SUM(bytes) AS b, COUNT(*) AS n FROM {flows} WHERE {primary} {{where}} GROUP BY {{keys}} ORDER BY b DESC LIMIT 20"
QUERIES = {
    "top workloads": ("workload_name", ""),
    "cross-zone": ("zone, dst_zone", "AND zone <> '' AND dst_zone <> '' AND zone <> dst_zone"),
    "top pairs": ("ns, dst_ns, workload_name, dst_workload_name", ""),
}
# START of the generated flows and the tenth hour from it, and 10.128.3.232.
FROM, UNTIL = 1790000000 + 36000, 1790000000 + 39600
ADDRESS = "00000000000000000000FFFF0A8003E8"
# 10.255.255.1, which no flow has.
NOBODY = "00000000000000000000FFFF0AFFFF01"
# Sums over all flows that these let through; BYTES is how an engine writes an address.
FILTERS = {
    "an address nobody has": "(addr = BYTES OR dst_addr = BYTES)",
    "two namespaces": "ns = 'team-1' AND dst_ns = 'team-2'",
}
NEWEST = "newest page"


def over_all(name, flows, address):
    """The questions that both engines write alike."""
    if name == NEWEST:
        return f'SELECT * FROM {flows} WHERE "primary" ORDER BY time DESC LIMIT 20'
    where = FILTERS[name].replace("BYTES", address)
    return f'SELECT SUM(bytes), COUNT(*) FROM {flows} WHERE "primary" AND {where}'


def duck(name):
    if name == NEWEST or name in FILTERS:
        return over_all(name, f"'{FLAT}'", f"from_hex('{NOBODY}')")
    if name == "point search":
        return (f"SELECT SUM(bytes), COUNT(*) FROM '{FLAT}' WHERE \"primary\" AND addr = from_hex('{ADDRESS}') "
                f"AND time >= to_timestamp({FROM}) AND time < to_timestamp({UNTIL})")
    keys, where = QUERIES[name]
    return f"SELECT {keys}, " + TOP.format(flows=f"'{FLAT}'", primary='"primary"').format(keys=keys, where=where)


def click(name):
    flows = f"file('{FLAT}', Parquet)"
    if name == NEWEST or name in FILTERS:
        return over_all(name, flows, f"unhex('{NOBODY}')")
    if name == "point search":
        return (f"SELECT SUM(bytes), COUNT(*) FROM {flows} WHERE \"primary\" AND addr = unhex('{ADDRESS}') "
                f"AND time >= fromUnixTimestamp({FROM}) AND time < fromUnixTimestamp({UNTIL})")
    keys, where = QUERIES[name]
    return f"SELECT {keys}, " + TOP.format(flows=flows, primary='"primary"').format(keys=keys, where=where)


def median(run):
    seconds, answer = [], None
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = run()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), answer


def main():
    db = duckdb.connect(config={"threads": 2})
    db.execute("SET TimeZone = 'UTC'")
    flatten(db)
    ours = [json.loads(line) for line in open(f"{DATA}/weir.jsonl")]
    figures = {}
    for line in (line for line in ours if "engine" in line):
        figures.setdefault(line["query"], {})[line["engine"]] = line["seconds"]
    for name in figures:
        figures[name]["DuckDB"], rows = median(lambda: db.execute(duck(name)).fetchall())
        setting = " SETTINGS max_threads = 2, session_timezone = 'UTC'"
        figures[name]["ClickHouse"], text = median(lambda: chdb.query(click(name) + setting, "JSONCompact").data())
        if name != NEWEST:
            check(name, [line for line in ours if line["query"] == name], rows, json.loads(text)["data"])
    table(figures)
    opened = next(line for line in ours if line["query"] == "open")
    print(f"\nA store of {opened['segments']} segments of records is open after {opened['seconds']:.3f} s.")


def check(name, ours, duck_rows, click_rows):
    """All answer the same: the first row's bytes and flows."""
    last = lambda row: tuple(int(n or 0) for n in list(row)[-2:])
    wanted = last(duck_rows[0])
    assert last(click_rows[0]) == wanted, (name, click_rows[0], duck_rows[0])
    for line in ours:
        first = line["first"]
        assert (int(first["bytes"] or 0), int(first["flows"])) == wanted, (name, line, duck_rows[0])


def table(figures):
    engines = ["weir", "weir, rollups", "DuckDB", "ClickHouse"]
    rows = int(open(f"{DATA}/store/filled").read())
    print(f"{rows} flows, seconds, median of {ROUNDS}, two cores; weir's raw segments "
          f"{sum(e.stat().st_size for e in os.scandir(f'{DATA}/store') if e.name.startswith('raw-')) / rows:.1f} "
          f"octets a flow, the flat file {os.path.getsize(FLAT) / rows:.1f}\n")
    print("| question | " + " | ".join(engines) + " | weir / faster |")
    print("|---|" + "---|" * (len(engines) + 1))
    for name, of in figures.items():
        cells = [f"{of[e]:.3f}" if e in of else "" for e in engines]
        ratio = of["weir"] / min(of["DuckDB"], of["ClickHouse"])
        print(f"| {name} | " + " | ".join(cells) + f" | {ratio:.2f} |")


main()
