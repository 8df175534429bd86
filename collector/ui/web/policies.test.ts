import { expect, test } from "vitest";
import { expired, goneRuns, isGone, starts } from "./axis";
import { terms } from "./cel";
import { calledOf, cellFields, coveredOf, gravest, Layer, peerName, SAID } from "./layer";
import { fare, query } from "./pages/metrics/fare";
import { byNamespace, covered, DIRECTIONS, edgeFilter, endConditions, FATE_NAMES, ordered, reach } from "./policies";
import { command, generation, nothing, policies, replay } from "./question";
import { Random } from "./random";
import type { PolicyCoverage, PolicyCoverageSide } from "./types";

const NAMES = [
  "shop",
  "__proto__",
  "constructor",
  'a"b && 1 == 1 || "',
  "<img onerror=x>",
  "\u202Etxt",
  "x".repeat(253),
];

function side(random: Random): PolicyCoverageSide {
  const tally = () => ({ edges: random.below(9), flows: random.below(99), bytes: random.below(9999) });
  return {
    by_rule: tally(),
    by_default: tally(),
    denied: tally(),
    exempt: tally(),
    unknown: tally(),
    isolated_pods: random.below(4),
    pods: 4,
  };
}

const workloads = (random: Random): PolicyCoverage[] =>
  random.list(12, () => {
    const ns = random.pick(NAMES);
    return { ns, workload: `${ns}/deployment/${random.below(99)}`, ingress: side(random), egress: side(random) };
  });

test("namespaces and the whole have what their workloads have together", () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const rows = workloads(new Random(seed));
    const namespaces = byNamespace(rows);
    expect(new Set(namespaces.map(({ ns }) => ns))).toEqual(new Set(rows.map(({ ns }) => ns)));
    for (const [direction] of DIRECTIONS) {
      const all = reach(rows.map((row) => row[direction]));
      expect(reach(namespaces.map((row) => row[direction]))).toEqual(all);
      for (const fate of FATE_NAMES)
        expect(all[fate].bytes).toBe(rows.reduce((sum, row) => sum + row[direction][fate].bytes, 0));
      const part = covered(all, "bytes");
      if (part !== undefined) expect(part >= 0 && part <= 1).toBe(true);
    }
    for (const by of ["open", "denied", "name"]) {
      const sorted = ordered(rows, by);
      expect(new Set(sorted)).toEqual(new Set(rows));
      expect(ordered([...rows].reverse(), by).map((row) => row.workload)).toEqual(sorted.map((row) => row.workload));
    }
  }
});

test("of nothing no part is covered", () => {
  expect(covered(reach([]), "flows")).toBe(undefined);
});

test("an end of an edge is the conditions that say who it is", () => {
  expect(endConditions("shop/deployment/web", "")).toEqual(['ns == "shop"', 'workload_name == "web"']);
  expect(endConditions("shop/web-0", "dst_")).toEqual(['dst_ns == "shop"', 'dst_pod_name == "web-0"']);
  expect(endConditions("node n1", "")).toEqual(['name == "n1"']);
  expect(endConditions("service shop/web", "dst_")).toEqual(['dst_service_ns == "shop"', 'dst_service_name == "web"']);
  expect(endConditions("10.0.0.1", "dst_")).toEqual(['dst_addr == "10.0.0.1"']);
  expect(endConditions("fd00::1", "")).toEqual(['addr == "fd00::1"']);
  expect(endConditions("unknown", "")).toEqual([]);
});

test("an edge is a filter whose names stay names, whatever stands in them", () => {
  for (const name of NAMES) {
    const filter = edgeFilter({ client: `${name}/deployment/a`, server: `${name}/pod`, port: "443/tcp" });
    expect(terms(filter ?? "")).toEqual([
      `ns == ${JSON.stringify(name)}`,
      'workload_name == "a"',
      `dst_ns == ${JSON.stringify(name)}`,
      'dst_pod_name == "pod"',
      "dst_port == 443",
    ]);
  }
  expect(edgeFilter({ client: "unknown", server: "a/b", port: "1" })).toBe(undefined);
});

test("of policies the command has the filter among its options, and lists item by item", () => {
  const asked = {
    ...nothing(),
    ns: ["a", "b"],
    filter: "dst_port == 1",
    since: "7d",
    weak: true,
    delete: ["a/x", "b/y"],
  };
  expect(command("policy coverage", policies(asked))).toBe(
    "weir policy coverage --ns a --ns b --filter 'dst_port == 1' --since 7d",
  );
  expect(command("policy generate", generation(asked))).toContain(" --since 7d --weak");
  expect(command("policy check", replay(asked))).toContain("--delete a/x --delete b/y");
});

test("a cell shows the gravest of what was said of its flows, and no flow counts twice", () => {
  const fields = cellFields("ns", true);
  for (let seed = 0; seed < 200; seed += 1) {
    const random = new Random(seed);
    const rows = random.list(30, () => ({
      ns: random.pick(NAMES),
      dst_ns: random.pick(NAMES),
      dst_port: random.below(3),
      protocol: "tcp",
      policy_verdict: random.pick(["allow", "deny", "unknown", ""]),
      policy_reason: random.pick(["rule", "default", "isolation"]),
      flows: random.below(10),
      bytes: 1 + random.below(10),
    }));
    const layer = new Layer(rows, fields);
    const cells = new Map(rows.map((row) => [JSON.stringify(fields.map((name) => (row as never)[name])), row]));
    const all = [...cells.values()].map((row) => layer.of(row));
    const flows = all.flatMap((sums) => SAID.map((said) => sums?.[said]?.flows ?? 0)).reduce((a, b) => a + b, 0);
    expect(flows).toBe(rows.reduce((sum, row) => sum + row.flows, 0));
    for (const row of cells.values()) {
      const own = rows.filter((one) => fields.every((name) => (one as never)[name] === (row as never)[name]));
      expect(gravest(layer.of(row) ?? {}) === "deny").toBe(own.some((one) => one.policy_verdict === "deny"));
    }
    const part = coveredOf(all);
    if (part) for (const share of [part.pairs, part.bytes]) expect(share >= 0 && share <= 1).toBe(true);
  }
  expect(coveredOf([undefined])).toBe(undefined);
});

test("an end of a cell is named as the page that explains names it", () => {
  const web = { ns: "shop", workload_kind: "Deployment", workload_name: "web" };
  expect(peerName(web, "")).toBe("shop/deployment/web");
  expect(peerName({ dst_ns: "shop", dst_pod_name: "web-0" }, "dst_")).toBe("shop/web-0");
  expect(peerName({ ns: "", workload_kind: "internet" }, "")).toBe(undefined);
});

test("buckets that something of has expired are told from those in which nothing flowed", () => {
  const range = { since: 0, until: 600_000 };
  const times = starts(range, 60_000);
  const at = (milliseconds: number) => new Date(milliseconds).toISOString();
  const gone = expired([
    { kind: "expired", message: "", since: at(0), until: at(150_000) },
    { kind: "expired", message: "", since: at(300_000), until: at(360_000) },
    { kind: "expired", message: "sums may reach further back" },
    { kind: "rollup", message: "", since: at(0), until: at(600_000) },
  ]);
  expect(times.map((start) => isGone(gone, start, 60_000))).toEqual([
    true,
    true,
    true,
    false,
    false,
    true,
    false,
    false,
    false,
    false,
  ]);
  expect(goneRuns(gone, times, 60_000)).toEqual([
    { from: 0, count: 3 },
    { from: 5, count: 1 },
  ]);
});

test("a metric fares by what is accepted and what is counted", () => {
  expect(fare({ ready: true, counted: true, refused: 0 })).toBe("counts");
  expect(fare({ ready: true, counted: true, refused: 3 })).toBe("full");
  expect(fare({ ready: false, counted: true, refused: 0 })).toBe("before");
  expect(fare({ ready: false, counted: false, refused: 0 })).toBe("refused");
  expect(fare({ ready: true, counted: false, refused: 0 })).toBe("waits");
  expect(query("a_total")).toBe("sum(rate(a_total[5m]))");
  expect(query('x"} or vector(1)')).toBe(undefined);
});

test("of a record it is told who called whom, also where it is of the answer", () => {
  const request = {
    ns: "a",
    pod_name: "x",
    dst_ns: "b",
    dst_pod_name: "y",
    port: 40000,
    dst_port: 53,
    protocol: "udp",
  };
  const answer = { ns: "b", pod_name: "y", dst_ns: "a", dst_pod_name: "x", port: 53, dst_port: 40000, protocol: "udp" };
  const called = { src: "a/x", dst: "b/y", port: "53/udp" };
  expect(calledOf({ ...request, server: "dst" })).toEqual(called);
  expect(calledOf({ ...answer, server: "src" })).toEqual(called);
  expect(calledOf({ ...request, protocol: "tcp" })?.port).toBe("53");
  expect(calledOf({ ...request, dst_ns: "" })).toBe(undefined);
});
