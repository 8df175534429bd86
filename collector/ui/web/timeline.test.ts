import { expect, test } from "vitest";
import { Random } from "./random";
import {
  finer,
  heightOf,
  joined,
  MOST_HEIGHT,
  microsecondLater,
  ROW,
  rowAt,
  type Stretch,
  stretches,
  Timeline,
  topOf,
} from "./timeline";

const START = Date.parse("2026-11-29T10:00:00Z");

/** Buckets of a minute, and the rows that the API would answer. */
function some(random: Random): { rows: Array<{ time: string; flows: number }>; minutes: number } {
  const minutes = 1 + random.below(200);
  const rows = Array.from({ length: minutes }, (_, at) => ({
    time: new Date(START + at * 60_000).toISOString(),
    flows: random.below(3) === 0 ? 0 : random.below(5_000),
  }));
  return { rows: rows.filter((row) => row.flows > 0 || random.below(2) === 0), minutes };
}

const sum = (parts: Stretch[]) => parts.reduce((all, { count }) => all + count, 0);

test("each row is in one stretch, in order, and no row is lost or twice", () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const random = new Random(seed);
    const { rows, minutes } = some(random);
    const range = { since: START + 10_000, until: START + minutes * 60_000 };
    const oldestFirst = random.below(2) === 0;
    const parts = stretches(rows, range, 60_000, oldestFirst);
    expect(sum(parts)).toBe(rows.reduce((all, row) => all + row.flows, 0));
    const timeline = new Timeline(joined(parts, 2_000));
    expect(timeline.total).toBe(sum(parts));
    let [expected, times] = [0, oldestFirst ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY];
    timeline.parts.forEach((part, at) => {
      expect(timeline.firstOf(at)).toBe(expected);
      for (const offset of [0, part.count - 1]) expect(timeline.find(expected + offset)).toEqual({ at, offset });
      // Stretches do not overlap.
      expect(oldestFirst ? part.since >= times : part.until <= times).toBe(true);
      times = oldestFirst ? part.until : part.since;
      expected += part.count;
    });
    expect([timeline.find(-1), timeline.find(timeline.total)]).toEqual([undefined, undefined]);
    expect(timeline.parts.every((part) => part.since >= range.since && part.until <= range.until)).toBe(true);
  }
});

test("what is joined is fetched at once, unless one part alone is more", () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const parts = stretches(some(new Random(seed)).rows, { since: START, until: START + 1e9 }, 60_000, true);
    for (const part of joined(parts, 2_000)) if (part.count > 2_000) expect(parts).toContainEqual(part);
  }
});

test("a stretch that is looked at closer leaves the rows before and behind it where they are", () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const random = new Random(seed);
    const timeline = new Timeline(stretches(some(random).rows, { since: START, until: START + 1e9 }, 60_000, false));
    if (timeline.parts.length === 0) continue;
    const at = random.below(timeline.parts.length);
    const part = timeline.parts[at] as Stretch;
    const half = Math.floor(part.count / 2);
    const middle = (part.since + part.until) / 2;
    const closer = timeline.with(at, [
      { since: middle, until: part.until, count: half },
      { since: part.since, until: middle, count: part.count - half },
    ]);
    expect(closer.total).toBe(timeline.total);
    expect(closer.firstOf(at)).toBe(timeline.firstOf(at));
    expect(closer.firstOf(at + 2)).toBe(timeline.firstOf(at + 1));
  }
});

test("a stretch is looked at closer until it fits or is a millisecond long", () => {
  let part: Stretch = { since: 0, until: 3_600_000, count: 50_000_000 };
  let times = 0;
  for (let bucket = finer(part, 2_000); bucket !== undefined; bucket = finer(part, 2_000)) {
    expect(bucket).toBeLessThan(part.until - part.since);
    expect((part.until - part.since) / bucket).toBeLessThanOrEqual(4_000);
    part = { since: 0, until: bucket, count: part.count };
    times += 1;
  }
  expect(part.until).toBe(1);
  expect(times).toBeLessThan(8);
});

test("time goes one way along the rows", () => {
  const parts = stretches(some(new Random(7)).rows, { since: START, until: START + 1e9 }, 60_000, false);
  const timeline = new Timeline(parts);
  let last = Number.POSITIVE_INFINITY;
  for (let row = 0; row < timeline.total; row += 97) {
    const time = timeline.timeOf(row, false) ?? 0;
    expect(time).toBeLessThanOrEqual(last);
    last = time;
  }
});

test("how far one scrolls and which row that is are the same either way, also where it is scaled", () => {
  const view = 20 * ROW;
  for (const total of [21, 5_000, 285_714, 1_000_000, 40_000_000]) {
    expect(heightOf(total)).toBeLessThanOrEqual(MOST_HEIGHT);
    expect([rowAt(0, view, total), Math.round(rowAt(heightOf(total) - view, view, total))]).toEqual([0, total - 20]);
    for (const part of [0.1, 0.25, 0.5, 0.75, 0.9]) {
      const row = Math.floor((total - 20) * part);
      expect(Math.abs(rowAt(topOf(row, view, total), view, total) - row)).toBeLessThan(0.01);
    }
  }
  expect([rowAt(50, view, 3), topOf(2, view, 3)]).toEqual([0, 0]);
});

test("a microsecond later is the next that the API writes", () => {
  expect(microsecondLater("2026-11-29T10:00:00.000009Z")).toBe("2026-11-29T10:00:00.000010Z");
  expect(microsecondLater("2026-11-29T10:00:00Z")).toBe("2026-11-29T10:00:00.000001Z");
  expect(microsecondLater("2026-11-29T10:00:59.999999Z")).toBe("2026-11-29T10:01:00.000Z");
});
