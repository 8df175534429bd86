import { beforeEach, expect, test, vi } from "vitest";
import { Random } from "../random";
import { lengthOf } from "../span";
import { joined, stretches, Timeline } from "../timeline";

type Record = { time: string; at: number; number: number };
const START = Date.parse("2026-11-29T10:00:00Z");
const MINUTES = 30;
const RANGE = { since: START, until: START + MINUTES * 60_000 };

/** The records of a collector that is made up, the newest first. */
let store: Record[] = [];
let asked: string[] = [];

const moment = (value: unknown) => Date.parse(String(value));

vi.mock("../api", () => ({
  failedBy: (error: unknown) => error,
  ask: async (page: string, params: { [name: string]: unknown }, signal: AbortSignal) => {
    asked.push(page);
    await Promise.resolve();
    signal.throwIfAborted();
    const [since, until] = [moment(params["since"]), moment(params["until"])];
    const inside = store.filter(({ at }) => at >= since && at < until);
    if (page === "flows") {
      const from = Number(params["cursor"] || 0);
      const to = from + Math.min(10_000, Number(params["limit"]));
      return { rows: inside.slice(from, to), notes: [], cursor: to < inside.length ? String(to) : undefined };
    }
    const bucket = lengthOf(String(params["bucket"])) ?? 1;
    const counts = new Map<number, number>();
    for (const { at } of inside) {
      const start = Math.floor(at / bucket) * bucket;
      counts.set(start, (counts.get(start) ?? 0) + 1);
    }
    return { rows: [...counts].map(([start, flows]) => ({ time: new Date(start).toISOString(), flows })), notes: [] };
  },
}));

const { AT_ONCE, Pages } = await import("./pages");

/** Some of which many come in one millisecond. */
function records(random: Random): Record[] {
  const bursts = random.list(8, () => ({ at: START + random.below(MINUTES * 60_000), count: random.below(4_000) }));
  const times = [
    ...Array.from({ length: random.below(4_000) }, () => START + random.below(MINUTES * 60_000)),
    ...bursts.flatMap(({ at, count }) => Array.from({ length: count }, (_, n) => at + (n % 2) * random.below(3))),
  ].filter((at) => at < RANGE.until);
  times.sort((a, b) => b - a);
  return times.map((at, number) => ({ at, number, time: new Date(at).toISOString() }));
}

/** Pages over what is counted by minute. */
function counted(): InstanceType<typeof Pages> {
  const counts = new Map<number, number>();
  for (const { at } of store) {
    const start = Math.floor(at / 60_000) * 60_000;
    counts.set(start, (counts.get(start) ?? 0) + 1);
  }
  const rows = [...counts].map(([start, flows]) => ({ time: new Date(start).toISOString(), flows }));
  return new Pages(new Timeline(joined(stretches(rows, RANGE, 60_000, false), AT_ONCE)), {}, false);
}

beforeEach(() => {
  asked = [];
});

test("wherever one looks, a row that is there is the row of the whole list, and all in view come", async () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const random = new Random(seed);
    store = records(random);
    if (store.length === 0) continue;
    const pages = counted();
    expect(pages.timeline.value.total).toBe(store.length);
    for (let jumps = 0; jumps < 12; jumps += 1) {
      const from = random.below(store.length);
      const to = Math.min(store.length - 1, from + 30);
      await pages.want(from, to);
      expect(pages.timeline.value.total).toBe(store.length);
      const seen = Array.from({ length: to - from + 1 }, (_, place) => from + place);
      expect(seen.map((row) => pages.row(row)?.["number"])).toEqual(seen);
      const others = Array.from({ length: 50 }, () => random.below(store.length));
      expect(others.filter((row) => ![undefined, row].includes(pages.row(row)?.["number"] as number))).toEqual([]);
    }
  }
});

test("what is fetched is bounded by what is looked at, and what is kept has an end", async () => {
  const each = AT_ONCE;
  store = Array.from({ length: MINUTES * each }, (_, number) => ({
    at: RANGE.until - 1 - Math.floor((number * 60_000) / each),
    number,
    time: "",
  }));
  const pages = counted();
  expect(pages.timeline.value.parts.every(({ count }) => count === each)).toBe(true);
  await pages.want(27_100, 27_130);
  expect(asked).toEqual(["flows"]);
  for (let row = 0; row < store.length; row += each) await pages.want(row, row + 30);
  expect(pages.kept).toBeLessThanOrEqual(20);
  expect(pages.row(store.length - 1)?.["number"]).toBe(store.length - 1);
  expect(pages.row(0)).toBe(undefined);
});

test("where records have gone since they were counted, what is there is shown, none twice and none of others", async () => {
  store = records(new Random(3));
  const pages = counted();
  const gone = new Set(store.filter(({ number }) => number % 7 === 0));
  store = store.filter((record) => !gone.has(record));
  for (let row = 0; row < pages.timeline.value.total; row += 25) await pages.want(row, row + 30);
  const { total } = pages.timeline.value;
  expect(total).toBe(store.length);
  await pages.want(total - 31, total - 1);
  expect(pages.row(total - 1)?.["number"]).toBe(store.at(-1)?.number);
});

test("who goes on before an answer came gets what they look at now", async () => {
  store = records(new Random(5));
  const pages = counted();
  const first = pages.want(0, 30);
  const last = store.length - 1;
  const second = pages.want(last - 30, last);
  await Promise.all([first, second]);
  expect(pages.row(last)?.["number"]).toBe(last);
  expect(pages.failed.value).toBe(undefined);
});
