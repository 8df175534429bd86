// What pages compute of answers about policies: whom an edge is of, and how far policies reach.
import { equals, join } from "./cel";
import type { EdgeRow, PolicyCoverage, PolicyCoverageSide, TallyRow } from "./types";

/** Fates of traffic, in the order in which they are drawn. */
export const FATE_NAMES = ["by_rule", "by_default", "denied", "unknown"] as const;
export type Fate = (typeof FATE_NAMES)[number];
export type Direction = "ingress" | "egress";
export const DIRECTIONS: Array<[Direction, string]> = [
  ["ingress", "Called"],
  ["egress", "Calls"],
];

/** The conditions that an end of an edge is this one, as the API names it; none: it is not known who it is. */
export function endConditions(name: string, side: "" | "dst_"): string[] {
  const text = (field: string, value: string) => equals(side + field, value, "text");
  const node = /^node (.+)$/s.exec(name)?.[1];
  if (node !== undefined) return [text("name", node)];
  const service = /^service ([^/]+)\/([^/]+)$/s.exec(name);
  if (service) return [text("service_ns", service[1] ?? ""), text("service_name", service[2] ?? "")];
  const parts = name.split("/");
  const [ns = "", second = "", third = ""] = parts;
  if (parts.length === 3) return [text("ns", ns), text("workload_name", third)];
  if (parts.length === 2) return [text("ns", ns), text("pod_name", second)];
  return /^[0-9a-f]*[.:][0-9a-f.:]+$/i.test(name) ? [equals(`${side}addr`, name, "address")] : [];
}

/** The filter that lets an edge through alone: the client is the source. Of ends that nobody knows there is none. */
export function edgeFilter(edge: Pick<EdgeRow, "client" | "server" | "port">): string | undefined {
  const ends = [endConditions(edge.client, ""), endConditions(edge.server, "dst_")];
  if (ends.some((conditions) => conditions.length === 0)) return undefined;
  const port = /^(\d+)\//.exec(edge.port)?.[1];
  return join([...ends.flat(), ...(port ? [equals("dst_port", Number(port), "number")] : [])]);
}

const NOTHING: TallyRow = { edges: 0, flows: 0, bytes: 0 };
const plus = (a: TallyRow, b: TallyRow): TallyRow => ({
  edges: a.edges + b.edges,
  flows: a.flows + b.flows,
  bytes: a.bytes + b.bytes,
});

/** What several workloads come to in one direction. */
export function reach(sides: PolicyCoverageSide[]): PolicyCoverageSide {
  const sum = (of: (side: PolicyCoverageSide) => TallyRow) => sides.map(of).reduce(plus, NOTHING);
  const count = (of: (side: PolicyCoverageSide) => number) => sides.reduce((all, side) => all + of(side), 0);
  return {
    by_rule: sum((side) => side.by_rule),
    by_default: sum((side) => side.by_default),
    denied: sum((side) => side.denied),
    exempt: sum((side) => side.exempt),
    unknown: sum((side) => side.unknown),
    isolated_pods: count((side) => side.isolated_pods),
    pods: count((side) => side.pods),
  };
}

/** Each namespace as one, by name. */
export function byNamespace(rows: PolicyCoverage[]): PolicyCoverage[] {
  const names = [...new Set(rows.map((row) => row.ns))].sort();
  return names.map((ns) => {
    const own = rows.filter((row) => row.ns === ns);
    const side = (direction: Direction) => reach(own.map((row) => row[direction]));
    return { ns, workload: ns, ingress: side("ingress"), egress: side("egress") };
  });
}

/** The part that a policy decides of, out of what can be told; none of nothing. */
export function covered(side: PolicyCoverageSide, measure: keyof TallyRow): number | undefined {
  const decided = side.by_rule[measure] + side.denied[measure];
  const all = decided + side.by_default[measure];
  return all === 0 ? undefined : decided / all;
}

/** How a table of coverage is ordered. */
export const ORDERS = ["open", "denied", "name"] as const;

/** Workloads, those with most traffic of that fate first. */
export function ordered(rows: PolicyCoverage[], by: string): PolicyCoverage[] {
  const name = (a: PolicyCoverage, b: PolicyCoverage) => (a.workload < b.workload ? -1 : 1);
  if (by === "name") return [...rows].sort(name);
  const fate = by === "denied" ? "denied" : "by_default";
  const sum = (row: PolicyCoverage) => row.ingress[fate].bytes + row.egress[fate].bytes;
  return [...rows].sort((a, b) => sum(b) - sum(a) || name(a, b));
}

/** A time of the API that is counted in nanoseconds; numbers that large come as text, too. */
export const momentOf = (ns: number | string): string =>
  Number(ns) === 0 ? "" : new Date(Number(ns) / 1e6).toISOString();
