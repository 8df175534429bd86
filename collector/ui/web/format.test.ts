import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { age, amount, exact, measured, numberOf, shorten, time, unitOf, visible } from "./format";

test("numbers are those of the command line", () => {
  const list = new URL("../../../cli/src/show/short_numbers.json", import.meta.url);
  const numbers = JSON.parse(readFileSync(list, "utf8")) as Array<[number, string]>;
  expect(numbers.length).toBeGreaterThan(20);
  for (const [number, short] of numbers) expect(shorten(number), String(number)).toBe(short);
});

test("an amount has its unit, and a rate is told in bits", () => {
  expect(amount(1_234_567, "bytes")).toBe("1.2 MB");
  expect(amount(0, "bytes")).toBe("0 B");
  expect(amount(1_000_000, "byte_rate")).toBe("8.0 Mbit/s");
  expect(amount(0.125, "part")).toBe("12.5 %");
  expect(amount(1.25, "seconds")).toBe("1.250 s");
});

test("the unit of a measure follows from its name", () => {
  const units = {
    bytes: "bytes",
    sent: "bytes",
    bytes_then: "bytes",
    dropped_bytes: "bytes",
    max_byte_rate: "byte_rate",
    packets: "number",
    p95_bytes: "bytes",
    p95_duration: "seconds",
    distinct_bytes: "number",
    last_seen: "time",
    share_change: "part",
  };
  for (const [measure, unit] of Object.entries(units)) expect(unitOf(measure), measure).toBe(unit);
});

test("what changed has a sign, and what is not known is nothing", () => {
  expect(measured({ bytes_change: 1500 }, "bytes_change", true)).toBe("+1.5 kB");
  expect(measured({ bytes_change: -1500 }, "bytes_change", true)).toBe("-1.5 kB");
  expect(measured({}, "bytes", true)).toBe("");
});

test("numbers that a double cannot hold keep every digit", () => {
  expect(exact("18446744073709551615")).toBe("18,446,744,073,709,551,615");
  expect(exact(-1234567)).toBe("-1,234,567");
  expect(numberOf("18446744073709551615")).toBeCloseTo(1.8446744073709552e19);
  expect(numberOf("10.0.0.1")).toBeUndefined();
});

test("times are shown in UTC where that is wanted, and what is none stays", () => {
  expect(time("2026-11-29T10:00:00.5Z", true)).toBe("2026-11-29 10:00:00");
  expect(time("-", true)).toBe("-");
  expect([0, 99, 600, 7200, 200_000].map(age)).toEqual(["0 s", "99 s", "10 min", "2 h", "2 d"]);
});

test("of a name all is seen, and nothing of it turns or hides what stands beside it", () => {
  expect(visible("a\u202egnp.exe")).toBe("a⟨202e⟩gnp.exe");
  expect(visible("line\nbreak\u200b")).toBe("line⟨000a⟩break⟨200b⟩");
  for (const name of ["shop/web", "ünï🐟", "<b>", "שלום", "a b"]) expect(visible(name)).toBe(name);
});
