// Rows that are known by time: how many records each stretch of time has says at which time a
// row is, and which stretch has to be fetched to show it. A scrollbar over all rows is then time.
import { numberOf } from "./format";
import type { Range } from "./span";
import type { Row } from "./types";

/** A part of the time and how many records it has; of none nothing is kept. */
export type Stretch = Range & { count: number };

/** Where a row is: which stretch, and which row of it. */
export type Place = { at: number; offset: number };

/** The height of a row, in pixels. */
export const ROW = 28;
/** Browsers do not scroll over more pixels than some ten millions: what is more is scaled. */
export const MOST_HEIGHT = 8_000_000;

/** The parts of the range that have records, in the order of their rows. */
export function stretches(rows: Row[], range: Range, bucket: number, oldestFirst: boolean): Stretch[] {
  const found = rows
    .map((row): Stretch => {
      const start = Date.parse(String(row["time"]));
      return {
        since: Math.max(start, range.since),
        until: Math.min(start + bucket, range.until),
        count: numberOf(row["flows"]) ?? 0,
      };
    })
    .filter(({ count, since, until }) => count > 0 && since < until)
    .sort((a, b) => a.since - b.since);
  return oldestFirst ? found : found.reverse();
}

/** Neighbours that have so many rows together at most, as one: each is fetched at once. */
export function joined(parts: Stretch[], most: number): Stretch[] {
  const all: Stretch[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    if (last && last.count + part.count <= most) {
      last.since = Math.min(last.since, part.since);
      last.until = Math.max(last.until, part.until);
      last.count += part.count;
    } else {
      all.push({ ...part });
    }
  }
  return all;
}

export class Timeline {
  /** Rows before each stretch. */
  private readonly before: number[];
  readonly total: number;

  constructor(readonly parts: Stretch[]) {
    let sum = 0;
    this.before = parts.map(({ count }) => {
      sum += count;
      return sum - count;
    });
    this.total = sum;
  }

  /** Where a row is. */
  find(row: number): Place | undefined {
    if (row < 0 || row >= this.total) return undefined;
    let [low, high] = [0, this.parts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.before[middle] ?? 0) <= row) low = middle;
      else high = middle - 1;
    }
    return { at: low, offset: row - (this.before[low] ?? 0) };
  }

  /** The first row of a stretch. */
  firstOf(at: number): number {
    return this.before[at] ?? this.total;
  }

  /** About when a row is, in milliseconds: within its stretch rows are thought to be even. */
  timeOf(row: number, oldestFirst: boolean): number | undefined {
    const place = this.find(row);
    const part = place && this.parts[place.at];
    if (!place || !part) return undefined;
    const share = place.offset / part.count;
    const length = part.until - part.since;
    return oldestFirst ? part.since + share * length : part.until - share * length;
  }

  /** With these stretches in place of one, which was looked at closer. */
  with(at: number, parts: Stretch[]): Timeline {
    return new Timeline(this.parts.toSpliced(at, 1, ...parts));
  }
}

/** How long buckets are by which a stretch is looked at closer; none: it is as short as can be. */
export function finer({ since, until, count }: Stretch, most: number): number | undefined {
  const length = until - since;
  const wanted = Math.floor(length / Math.min(400, Math.max(2, Math.ceil((4 * count) / most))));
  const steps = [1, 10, 100, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000];
  const bucket = steps.filter((step) => step <= Math.max(1, wanted)).at(-1);
  return bucket !== undefined && bucket < length ? bucket : undefined;
}

export const heightOf = (total: number) => Math.min(total * ROW, MOST_HEIGHT);

/** The row at the upper edge, fractions included, where one has scrolled so far. */
export function rowAt(top: number, view: number, total: number): number {
  const room = heightOf(total) - view;
  if (room <= 0) return 0;
  return Math.max(0, Math.min(1, top / room)) * (total - view / ROW);
}

/** How far one scrolls to have a row at the upper edge. */
export function topOf(row: number, view: number, total: number): number {
  const rows = total - view / ROW;
  if (rows <= 0) return 0;
  return (Math.max(0, Math.min(rows, row)) / rows) * (heightOf(total) - view);
}

/** A microsecond later, as the API writes times. */
export function microsecondLater(time: string): string {
  const match = /^(.*\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/.exec(time);
  if (!match) return time;
  const micros = Number((match[2] ?? "").padEnd(6, "0")) + 1;
  if (micros < 1_000_000) return `${match[1]}.${String(micros).padStart(6, "0")}Z`;
  return new Date(Date.parse(`${match[1]}Z`) + 1_000).toISOString();
}
