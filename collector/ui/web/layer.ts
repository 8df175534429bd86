// What policies said of the flows of a matrix's cells: sums of records that a client sent, beside
// the edges. A cell shows what weighs most: denied, not known, open, allowed.
import { numberOf } from "./format";
import type { Row, Value } from "./types";

/** What policies said, the gravest first; empty: not judged. */
export const SAID = ["deny", "unknown", "open", "allow", ""] as const;
export type Said = (typeof SAID)[number];
/** Flows and bytes by what was said of them. */
export type Sums = Partial<Record<Said, { flows: number; bytes: number }>>;

const ENDS: Record<string, string[]> = {
  "": ["ns", "workload_kind", "workload_name"],
  pod: ["ns", "workload_kind", "pod_name"],
  ns: ["ns"],
  subnet: ["subnet_label"],
};

/** The fields that tell a cell from others, as records and edges both have them. */
export function cellFields(by: string, ports: boolean): string[] {
  const ends = ENDS[by] ?? ENDS[""] ?? [];
  return [...ends, ...ends.map((name) => `dst_${name}`), ...(ports ? ["dst_port", "protocol"] : [])];
}

const keyOf = (fields: string[], row: Record<string, Value>) =>
  JSON.stringify(fields.map((name) => String(row[name] ?? "")));

/** What was said of a row of sums. */
export function saidOf(row: Row): Said {
  const verdict = String(row["policy_verdict"] ?? "");
  if (verdict === "deny" || verdict === "unknown") return verdict;
  if (verdict === "") return "";
  return row["policy_reason"] === "rule" ? "allow" : "open";
}

/** Sums by cell, out of rows that are grouped by a cell's fields, verdict and reason. */
export class Layer {
  private readonly cells = new Map<string, Sums>();

  constructor(
    rows: Row[],
    private readonly fields: string[],
  ) {
    for (const row of rows) {
      const key = keyOf(fields, row);
      const sums = this.cells.get(key) ?? {};
      const said = saidOf(row);
      const before = sums[said] ?? { flows: 0, bytes: 0 };
      sums[said] = {
        flows: before.flows + (numberOf(row["flows"]) ?? 0),
        bytes: before.bytes + (numberOf(row["bytes"]) ?? 0),
      };
      this.cells.set(key, sums);
    }
  }

  /** What was said of the flows of a cell, by its fields; none: no flow of it was seen. */
  of(fields: Record<string, Value>): Sums | undefined {
    return this.cells.get(keyOf(this.fields, fields));
  }
}

/** What weighs most. */
export const gravest = (sums: Sums): Said => SAID.find((said) => sums[said] !== undefined) ?? "";

/** The part of pairs, and of their bytes, that policies decide of. */
export function coveredOf(cells: Array<Sums | undefined>): { pairs: number; bytes: number } | undefined {
  const told = cells.filter((sums) => sums !== undefined);
  const bytes = (sums: Sums, wanted: readonly Said[]) =>
    wanted.reduce((sum, said) => sum + (sums[said]?.bytes ?? 0), 0);
  const decided = told.filter((sums) => sums.deny !== undefined || sums.allow !== undefined);
  const all = told.reduce((sum, sums) => sum + bytes(sums, SAID), 0);
  if (told.length === 0 || all === 0) return undefined;
  return {
    pairs: decided.length / told.length,
    bytes: told.reduce((sum, sums) => sum + bytes(sums, ["deny", "allow"]), 0) / all,
  };
}

/** The end of a cell as the page that explains policies names it. */
export function peerName(fields: Record<string, Value>, side: "" | "dst_"): string | undefined {
  const of = (name: string) => String(fields[side + name] ?? "");
  if (of("ns") === "") return undefined;
  if (of("pod_name") !== "") return `${of("ns")}/${of("pod_name")}`;
  const [kind, workload] = [of("workload_kind").toLowerCase(), of("workload_name")];
  return kind === "" || workload === "" ? undefined : `${of("ns")}/${kind}/${workload}`;
}

/** Who called whom on which port, out of a record; none: one of these is not known. */
export function calledOf(row: Row): { src: string; dst: string; port: string } | undefined {
  const isAnswer = row["server"] === "src";
  const [source, destination] = [peerName(row, ""), peerName(row, "dst_")];
  const [src, dst] = isAnswer ? [destination, source] : [source, destination];
  const port = row[isAnswer ? "port" : "dst_port"];
  if (!src || !dst || port === undefined) return undefined;
  return { src, dst, port: `${port}${row["protocol"] === "tcp" ? "" : `/${row["protocol"]}`}` };
}
