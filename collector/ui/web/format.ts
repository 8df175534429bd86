// How numbers, amounts and times are written. Numbers are those of the command line
// (cli/src/show/cells.rs): steps of 1,000, one digit behind the point.
import type { Row, Value } from "./types";

const STEPS: Array<[string, number]> = [
  ["P", 1e15],
  ["T", 1e12],
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
];

/** One digit behind the point; what lies in the middle goes to the even one. */
function tenths(number: number): string {
  const isTie = Math.abs((number * 4) % 2) === 1;
  const below = Math.floor(number * 10);
  return isTie && below % 2 === 0 ? (below / 10).toFixed(1) : number.toFixed(1);
}

/** `1.2M`, as the command line writes it. */
export function shorten(number: number): string {
  if (number < 0) return `-${shorten(-number)}`;
  const step = STEPS.find(([, size]) => number >= size);
  if (step) return tenths(number / step[1]) + step[0];
  return Number.isInteger(number) ? String(number) : tenths(number);
}

/** With a unit behind it: `1.2 MB`. */
function withUnit(number: number, unit: string): string {
  const short = shorten(number);
  const step = /[PTGMk]$/.exec(short)?.[0] ?? "";
  return `${step ? short.slice(0, -1) : short} ${step}${unit}`;
}

/** What kind of number a measure is. */
export type Unit = "bytes" | "byte_rate" | "rate" | "part" | "seconds" | "time" | "number";

export function unitOf(measure: string): Unit {
  const name = measure.replace(/_(then|change)$/, "");
  if (name === "byte_rate" || name === "max_byte_rate") return "byte_rate";
  if (name === "packet_rate") return "rate";
  if (name === "share") return "part";
  if (name === "first_seen" || name === "last_seen") return "time";
  if (name.startsWith("distinct_")) return "number";
  if (name.endsWith("duration")) return "seconds";
  return /(^|_)bytes$/.test(name) || name === "sent" || name === "received" ? "bytes" : "number";
}

/** A number in a unit; rates of bytes are told in bits, as networks are. */
export function amount(number: number, unit: Unit): string {
  switch (unit) {
    case "bytes":
      return withUnit(number, "B");
    case "byte_rate":
      return withUnit(number * 8, "bit/s");
    case "rate":
      return withUnit(number, "/s");
    case "part":
      return `${tenths(number * 100)} %`;
    case "seconds":
      return `${number.toFixed(3)} s`;
    default:
      return shorten(number);
  }
}

/** Signs that have no look of their own: they would turn or hide what stands beside them. */
const UNSEEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** A name so that all of it is seen, and nothing of it changes what stands beside it. */
export const visible = (text: string): string =>
  text.replace(UNSEEN, (sign) => `⟨${(sign.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}⟩`);

/** Every digit, in groups of three. */
export function exact(value: Value | undefined): string {
  return String(value ?? "").replace(/^-?\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ","));
}

/** The number of a value, also of one that is kept as text because it is large. */
export function numberOf(value: Value | undefined): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : undefined;
}

/** A measure of a row as a table shows it; with a sign where it says what changed. */
export function measured(row: Row, measure: string, utc: boolean): string {
  const unit = unitOf(measure);
  if (unit === "time") return time(row[measure], utc);
  const number = numberOf(row[measure]);
  if (number === undefined) return "";
  return (measure.endsWith("_change") && number > 0 ? "+" : "") + amount(number, unit);
}

const two = (number: number) => String(number).padStart(2, "0");

/** `2026-11-29 10:00:00`, in the zone that is chosen; what is no time stays as it is. */
export function time(value: Value | undefined, utc: boolean): string {
  const at = new Date(String(value ?? ""));
  if (Number.isNaN(at.getTime())) return String(value ?? "");
  return `${day(at, utc)} ${clock(at, utc)}`;
}

export function day(at: Date, utc: boolean): string {
  return utc ? at.toISOString().slice(0, 10) : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export function clock(at: Date, utc: boolean): string {
  return utc ? at.toISOString().slice(11, 19) : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `3 s`, `12 min`, `5 h`, `2 d`: how long ago. */
export function age(seconds: number): string {
  if (seconds < 100) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
