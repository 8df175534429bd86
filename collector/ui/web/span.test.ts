import { expect, test } from "vitest";
import { Random } from "./random";
import { bucketOf, lengthOf, momentOf, rangeOf, shifted, widened, writeLength } from "./span";

const NOW = Date.parse("2026-11-29T10:00:00Z");

test("a length that is written is read as what it was", () => {
  const random = new Random(1);
  for (let round = 0; round < 300; round += 1) {
    const length = random.below(40 * 86_400_000);
    expect(lengthOf(writeLength(length))).toBe(length);
  }
  expect(["1h30m", "90s", "x", "", "5", "1h x"].map(lengthOf)).toEqual([
    5_400_000,
    90_000,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test("moments are how long ago or a time", () => {
  expect(momentOf("15m", NOW)).toBe(NOW - 900_000);
  expect(momentOf("15m ago", NOW)).toBe(NOW - 900_000);
  expect(momentOf("2026-11-29T09:00:00Z", NOW)).toBe(NOW - 3_600_000);
  expect([momentOf("", NOW), momentOf("now", NOW), momentOf("soon", NOW)]).toEqual([NOW, NOW, undefined]);
  expect(rangeOf("1h", "2h", NOW)).toBeUndefined();
});

test("a range that is moved there and back is the same, one made wider keeps its middle", () => {
  const range = { since: NOW - 3_600_000, until: NOW };
  expect(shifted(shifted(range, -0.5), 0.5)).toEqual(range);
  const wide = widened(range);
  expect([wide.until - wide.since, (wide.until + wide.since) / 2]).toEqual([7_200_000, NOW - 1_800_000]);
});

test("buckets are as short as there is room for, and not below a minute", () => {
  expect(bucketOf({ since: NOW - 300_000, until: NOW }, 180)).toBe("1m");
  for (const hours of [1, 6, 24, 48, 168]) {
    const bucket = bucketOf({ since: NOW - hours * 3_600_000, until: NOW }, 180);
    expect((hours * 3_600_000) / (lengthOf(bucket) ?? 0)).toBeLessThanOrEqual(180);
  }
});
