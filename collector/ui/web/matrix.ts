// The edges of a matrix as cells: who stands for rows, who for columns, how much between them.
import { numberOf, visible } from "./format";
import type { Row, Value } from "./types";
import { UNKNOWN } from "./words";

/** One end: what it is called, and the fields that say who it is. */
export type End = { key: string; title: string; fields: Record<string, Value> };
export type Cell = { bytes: number; strength: string };
export type Edge = { client: End; server: End } & Cell;

const MEASURES = new Set([
  "bytes",
  "packets",
  "flows",
  "reverse_bytes",
  "reverse_packets",
  "reverse_flows",
  "connections",
  "first_seen",
  "last_seen",
  "strength",
  "weak_flows",
  "evidence",
]);
/** Fields of the server that are not of its own side. */
const SERVERS = new Set(["dst_port", "protocol", "proto"]);

const text = (value: Value | undefined) => (value === undefined ? "" : String(value));

/** The end that these fields tell of. */
function end(fields: Record<string, Value>): End {
  const bare = (name: string) => text(fields[name] ?? fields[`dst_${name}`]);
  const who = [bare("ns"), bare("pod_name") || bare("workload_name") || bare("name") || bare("subnet_label")].filter(
    (part) => part !== "",
  );
  const name = who.join("/") || bare("workload_kind") || bare("node_name") || UNKNOWN;
  const port = text(fields["dst_port"]);
  const key = JSON.stringify(Object.entries(fields).map(([field, value]) => [field, text(value)]));
  return { key, title: visible(port ? `${name}:${port}` : name), fields };
}

/** The name of a field where the server is the source: each side's are the other's, the port stays. */
export function fromServer(name: string): string {
  if (SERVERS.has(name)) return name;
  return name.startsWith("dst_") ? name.slice(4) : `dst_${name}`;
}

/** The fields that tell of this end alone: what is empty may be because the row is of several. */
export function tellingFields(end: End): Array<[string, Value]> {
  const all = Object.entries(end.fields);
  const told = all.filter(([, value]) => value !== "");
  return told.length > 0 ? told : all.slice(0, 1);
}

export function cellsOf(rows: Row[]): Edge[] {
  return rows.map((row) => {
    const names = Object.keys(row).filter((name) => !MEASURES.has(name));
    const part = (wanted: (name: string) => boolean) =>
      Object.fromEntries(names.filter(wanted).map((name) => [name, row[name] ?? ""]));
    const isServers = (name: string) => name.startsWith("dst_") || SERVERS.has(name);
    return {
      client: end(part((name) => !isServers(name))),
      server: end(part(isServers)),
      bytes: (numberOf(row["bytes"]) ?? 0) + (numberOf(row["reverse_bytes"]) ?? 0),
      strength: text(row["strength"]),
    };
  });
}

/** Rows and columns that a picture has at most. */
export const MOST_CLIENTS = 60;
export const MOST_SERVERS = 40;

export type Layout = {
  clients: End[];
  servers: End[];
  cells: Map<string, Map<string, Cell>>;
  most: number;
  left: number;
};

/** Which rows and columns there are, in which order, and what is left out. */
export function layout(edges: Edge[], byName: boolean): Layout {
  const clients = largest(edges, (edge) => edge.client, MOST_CLIENTS, byName);
  const servers = largest(edges, (edge) => edge.server, MOST_SERVERS, byName);
  const rows = new Set(clients.map((one) => one.key));
  const columns = new Set(servers.map((one) => one.key));
  const cells = new Map<string, Map<string, Cell>>();
  let [most, left] = [0, 0];
  for (const { client, server, bytes, strength } of edges) {
    if (!rows.has(client.key) || !columns.has(server.key)) {
      left += 1;
      continue;
    }
    const row = cells.get(client.key) ?? new Map<string, Cell>();
    cells.set(client.key, row);
    const before = row.get(server.key);
    const cell = {
      bytes: bytes + (before?.bytes ?? 0),
      strength: (before?.bytes ?? 0) > bytes ? (before?.strength ?? strength) : strength,
    };
    row.set(server.key, cell);
    most = Math.max(most, cell.bytes);
  }
  return { clients, servers, cells, most, left };
}

function largest(edges: Edge[], of: (edge: Edge) => End, most: number, byName: boolean): End[] {
  const sums = new Map<string, { end: End; bytes: number }>();
  for (const edge of edges) {
    const end = of(edge);
    const sum = sums.get(end.key) ?? { end, bytes: 0 };
    sum.bytes += edge.bytes;
    sums.set(end.key, sum);
  }
  const ordered = [...sums.values()]
    .sort((a, b) => b.bytes - a.bytes || (a.end.key < b.end.key ? -1 : 1))
    .slice(0, most);
  if (byName) ordered.sort((a, b) => (a.end.title < b.end.title ? -1 : a.end.title > b.end.title ? 1 : 0));
  return ordered.map(({ end }) => end);
}

/** One of seven steps, by the logarithm: the palest is so many decades below the most. */
export function heat(bytes: number, most: number, decades = 6): number {
  if (bytes <= 0 || most <= 0) return 0;
  const part = 1 + (Math.log10(bytes) - Math.log10(most)) / decades;
  return Math.max(0, Math.min(6, Math.floor(part * 7)));
}
