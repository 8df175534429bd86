// Lengths and points of time as the API writes them: `15m`, `1h30m`, RFC 3339.

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A length of time in milliseconds. */
export function lengthOf(text: string): number | undefined {
  let rest = text.trim();
  let sum = 0;
  if (rest === "") return undefined;
  while (rest !== "") {
    const part = /^(\d+)(ms|s|m|h|d|w)/.exec(rest);
    const unit = UNITS[part?.[2] ?? ""];
    if (!part || unit === undefined) return undefined;
    sum += Number(part[1]) * unit;
    rest = rest.slice(part[0].length);
  }
  return sum;
}

/** The shortest way to write a length of time. */
export function writeLength(milliseconds: number): string {
  let rest = Math.round(milliseconds);
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const size = UNITS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text || "0s";
}

/** The moment that is meant, in milliseconds; nothing and `now` are now. */
export function momentOf(text: string, now: number): number | undefined {
  if (text === "" || text === "now") return now;
  const ago = lengthOf(text.replace(/ ago$/, ""));
  if (ago !== undefined) return now - ago;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

/** A range of time, in milliseconds. */
export type Range = { since: number; until: number };

export function rangeOf(since: string, until: string, now: number): Range | undefined {
  const range = { since: momentOf(since || "1h", now), until: momentOf(until, now) };
  if (range.since === undefined || range.until === undefined || range.since >= range.until) return undefined;
  return { since: range.since, until: range.until };
}

export const writeMoment = (at: number) => new Date(at).toISOString().replace(".000Z", "Z");

/** The range moved by a part of its length. */
export function shifted({ since, until }: Range, by: number): Range {
  const length = (until - since) * by;
  return { since: since + length, until: until + length };
}

/** The range twice as long, around the same middle. */
export function widened({ since, until }: Range): Range {
  const half = (until - since) / 2;
  return { since: since - half, until: until + half };
}

const BUCKETS = ["1s", "5s", "10s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "6h", "12h", "1d"];
// Exporters report what is active once a minute: shorter buckets show their clock.
const SHORTEST = "1m";

/** Buckets of this range: as short as there are at most so many, and not below a minute. */
export function bucketOf({ since, until }: Range, most: number): string {
  const from = BUCKETS.indexOf(SHORTEST);
  const fits = BUCKETS.slice(from).find((bucket) => (until - since) / (lengthOf(bucket) ?? 1) <= most);
  return fits ?? "1d";
}
