import { expect, test } from "vitest";
import { asked, marks, newest, plan, standing, standings, words } from "./exports";
import { nothing, parse, write } from "./question";
import type { NodeExportAnswer } from "./types";

const node = (change: Partial<NodeExportAnswer>): NodeExportAnswer => ({
  node: "n",
  wanted: true,
  well: true,
  lags: false,
  applied: "True",
  exporting: "True",
  conflict: "False",
  protocols: "IPFIX",
  reason: "Applied",
  drift_healed: 0,
  programmed: [],
  conditions: [],
  received: [],
  ...change,
});

test("a node exports, fails, is on its way, is told nothing, or has no export", () => {
  const all = [
    node({}),
    node({ well: false, reason: "BridgeMissing" }),
    node({ well: false, lags: true, reason: "Pending" }),
    node({ wanted: false, reason: "NoCollectors" }),
    node({ well: false, reason: "NoObject" }),
  ];
  expect(all.map(standing)).toEqual(["exporting", "fails", "behind", "off", "none"]);
  expect(standings([...all, node({})])).toEqual({ exporting: 2, fails: 1, behind: 1, off: 1, none: 1 });
});

test("changes are marks where they are within the time, and once more when all nodes have them", () => {
  const change = { state: "", asks: "ipfix to a:1", differences: [] };
  const all = [
    {
      ...change,
      time: "2026-11-30T10:00:00Z",
      completed: "2026-11-30T10:05:00Z",
      differences: ["ipfix.sampling 400 → 100"],
    },
    { ...change, time: "2026-11-30T09:00:00Z" },
    { ...change, time: "2026-11-30T12:00:00Z" },
  ];
  const range = { since: Date.parse("2026-11-30T09:00:00Z"), until: Date.parse("2026-11-30T12:00:00Z") };
  expect(marks(all, range).map(({ at, name }) => [new Date(at).toISOString().slice(11, 16), name])).toEqual([
    ["09:00", "Export changed: ipfix to a:1"],
    ["10:00", "Export changed: ipfix.sampling 400 → 100"],
    ["10:05", "On all nodes: ipfix.sampling 400 → 100"],
  ]);
});

test("the newest datagram counts, whatever its format", () => {
  const came = { datagrams: 1, records: 1, sequenced: 1, lost: 0 };
  const both = node({
    received: [
      { ...came, format: "ipfix", last: "2026-11-30T09:00:00.5Z" },
      { ...came, format: "sflow5", last: "2026-11-30T09:00:01Z" },
      { ...came, format: "netflow5" },
    ],
  });
  expect(newest(both)).toBe("2026-11-30T09:00:01Z");
  expect(newest(node({}))).toBeUndefined();
});

test("of a form only what is different is asked for, and nothing in a list is none", () => {
  expect(words(" a:1,b:2  c:3\n")).toEqual(["a:1", "b:2", "c:3"]);
  expect(asked("a:1, b:2", ["a:1", "b:2"])).toEqual([]);
  expect(asked("a:1", ["a:1", "b:2"])).toEqual(["a:1"]);
  expect(asked(" ", ["a:1"])).toEqual(["none"]);
  expect(asked("", [])).toEqual([]);
});

test("what is asked for stands in the address and comes back out of it", () => {
  expect(plan(nothing())).toBeUndefined();
  const question = { ...nothing(), ipfix: ["[2001:db8::1]:4739", ":4739"], set: ["ipfix.sampling:100"], profile: "p" };
  const again = parse(write(question));
  expect(plan(again)).toEqual({
    net_flow: [],
    s_flow: [],
    ipfix: ["[2001:db8::1]:4739", ":4739"],
    set: ["ipfix.sampling:100"],
    profile: "p",
  });
});
