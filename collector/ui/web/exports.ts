// The cluster's flow export: what was changed and when, as marks on time; how nodes fare; what
// a form asks for as parameters of a plan.

import type { Params, Question } from "./question";
import type { Range } from "./span";
import type { ExportChange, ExportsAnswer, NodeExportAnswer } from "./types";
import { EXPORT } from "./words";

/** Something that happened at a time, drawn across a chart. */
export type Mark = { at: number; name: string };

/** Changes within a range of time; when all nodes had one is a mark of its own. */
export function marks(changes: ExportChange[], range: Range): Mark[] {
  const all = changes.flatMap(({ time, completed, asks, differences }) => {
    const what = differences.length > 0 ? differences.join("; ") : asks;
    const asked = { at: Date.parse(time), name: `${EXPORT.changed}: ${what}` };
    return completed ? [asked, { at: Date.parse(completed), name: `${EXPORT.everywhere}: ${what}` }] : [asked];
  });
  return all.filter(({ at }) => at >= range.since && at < range.until).sort((a, b) => a.at - b.at);
}

/** How a node fares, in a word. */
export type Standing = "exporting" | "fails" | "behind" | "off" | "none";

export function standing(node: NodeExportAnswer): Standing {
  if (node.reason === "NoObject") return "none";
  if (node.lags || node.reason === "Pending") return "behind";
  if (!node.well) return "fails";
  return node.wanted ? "exporting" : "off";
}

/** How many nodes there are of each. */
export function standings(nodes: NodeExportAnswer[]): Record<Standing, number> {
  const counts: Record<Standing, number> = { exporting: 0, fails: 0, behind: 0, off: 0, none: 0 };
  for (const node of nodes) counts[standing(node)] += 1;
  return counts;
}

/** The newest datagram of a node, in any format. */
export function newest(node: NodeExportAnswer): string | undefined {
  const times = node.received.flatMap(({ last }) => (last ? [last] : []));
  return times.sort((a, b) => Date.parse(b) - Date.parse(a))[0];
}

/** Fields of a form, by key of the address. */
export const PROTOCOLS = [
  ["net_flow", "netFlow", "NetFlow"],
  ["s_flow", "sFlow", "sFlow"],
  ["ipfix", "ipfix", "IPFIX"],
] as const;

/** Collectors of a protocol as they were written. */
export const present = (source: ExportsAnswer["source"], protocol: string): string[] =>
  (source?.collectors ?? []).filter((one) => one.protocol === protocol).map(({ collector }) => collector);

/** Words of a text, with commas or space between them. */
export const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== "");

/** A list as the address says it; undefined where it is what there is already. */
export function asked(text: string, now: string[]): string[] {
  const list = words(text);
  if (list.length === now.length && list.every((one, at) => one === now[at])) return [];
  return list.length === 0 ? ["none"] : list;
}

/** The plan that an address asks for; undefined: none. */
export function plan({ net_flow, s_flow, ipfix, profile, set }: Question): Params | undefined {
  const any = [net_flow, s_flow, ipfix, set].some((list) => list.length > 0);
  return any ? { net_flow, s_flow, ipfix, profile, set } : undefined;
}
