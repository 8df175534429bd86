// The axes of charts: where buckets begin, and how far up it goes.
import type { Range } from "./span";

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
