// The axes of charts: where buckets begin, how far up it goes, and where nothing is known.
import type { Range } from "./span";
import type { Note } from "./types";

/** When each bucket begins, by the clock. */
export function starts(range: Range, bucket: number): number[] {
  const first = Math.floor(range.since / bucket) * bucket;
  const count = Math.max(1, Math.ceil((range.until - first) / bucket));
  return Array.from({ length: count }, (_, at) => first + at * bucket);
}

/** A round number that is not less. */
export function ceiling(most: number): number {
  if (most <= 0) return 1;
  const step = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((times) => times * step).find((round) => round >= most) ?? most;
}

/** Parts of the range that have expired: what is not there is not nothing. */
export function expired(notes: Note[]): Range[] {
  const told = notes.filter(({ kind, since, until }) => kind === "expired" && since && until);
  return told.map(({ since = "", until = "" }) => ({ since: Date.parse(since), until: Date.parse(until) }));
}

/** What has expired, where it is shown beside a later time. */
export const later = (gone: Range[], by: number): Range[] =>
  gone.map(({ since, until }) => ({ since: since + by, until: until + by }));

/** Whether something of this bucket has expired. */
export const isGone = (gone: Range[], start: number, bucket: number): boolean =>
  gone.some(({ since, until }) => since < start + bucket && until > start);

/** The buckets that have expired, those that adjoin as one: the first and how many. */
export function goneRuns(gone: Range[], times: number[], bucket: number): Array<{ from: number; count: number }> {
  const runs: Array<{ from: number; count: number }> = [];
  times.forEach((start, at) => {
    if (!isGone(gone, start, bucket)) return;
    const last = runs.at(-1);
    if (last && last.from + last.count === at) last.count += 1;
    else runs.push({ from: at, count: 1 });
  });
  return runs;
}
