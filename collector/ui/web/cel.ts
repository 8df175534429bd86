// The filter as a list of conditions, each of which can be taken out, turned around or set
// aside. Whether it is right the server says: what is not understood here stays as it is.

import type { Value } from "./types";

/** The kinds of values that fields have, as /api/v1/fields names them. */
export type Kind = "text" | "list of text" | "map" | "number" | "bool" | "address" | "mac" | "time";

type Token = { text: string; at: number; end: number; depth: number };

const COMMENT = /\/\/[^\n]*/.source;
/** Raw strings know no escapes, and those with three quotes have lines and quotes in them. */
const STRINGS = [
  /[rR]"""[\s\S]*?"""|[rR]'''[\s\S]*?'''/,
  /"""(?:\\[\s\S]|[^\\])*?"""|'''(?:\\[\s\S]|[^\\])*?'''/,
  /[rR]"[^"\n]*"|[rR]'[^'\n]*'/,
  /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/,
].map((string) => string.source);
const TOKEN = new RegExp(
  [/\s+/.source, COMMENT, ...STRINGS, /&&|\|\||[=!<>]=|[A-Za-z_]\w*|\d[\w.]*|[\s\S]/.source].join("|"),
  "gy",
);

/** The words of a filter, with how deep in brackets they are. */
function tokens(text: string): Token[] {
  const found: Token[] = [];
  let depth = 0;
  for (const match of text.matchAll(TOKEN)) {
    const word = match[0];
    if (/^(\s|\/\/)/.test(word)) continue;
    if (/^[)\]}]$/.test(word)) depth = Math.max(0, depth - 1);
    found.push({ text: word, at: match.index, end: match.index + word.length, depth });
    if (/^[([{]$/.test(word)) depth += 1;
  }
  return found;
}

const LOOSE = new Set(["||", "?"]);

/** Without comments, which would hide what is written behind them. */
function plain(filter: string): string {
  return filter.replace(TOKEN, (word) => (word.startsWith("//") ? "" : word));
}

/** The conditions that a filter joins with `&&`; one, if it joins them otherwise. Comments are left out. */
export function terms(text: string): string[] {
  const filter = plain(text);
  const words = tokens(filter);
  if (words.length === 0) return [];
  if (words.some((word) => word.depth === 0 && LOOSE.has(word.text))) return [filter.trim()];
  const parts: string[] = [];
  let from = 0;
  for (const word of words) {
    if (word.depth !== 0 || word.text !== "&&") continue;
    parts.push(filter.slice(from, word.at).trim());
    from = word.end;
  }
  parts.push(filter.slice(from).trim());
  return parts.filter((part) => part !== "");
}

/** The conditions as one filter. */
export function join(parts: string[]): string {
  if (parts.length === 1) return parts[0] ?? "";
  return parts.map((part) => (isLoose(part) ? `(${part})` : part)).join(" && ");
}

const isLoose = (part: string) => tokens(part).some((word) => word.depth === 0 && LOOSE.has(word.text));

/** What a condition says, as far as it is of one of the usual forms. */
export type Chip = { text: string; field?: string; op?: string; value?: string };

/** A condition as people read it. */
export function chip(text: string): Chip {
  const words = tokens(text);
  const [first, second] = words;
  const isName = /^[A-Za-z_]\w*$/;
  if (first && second && isName.test(first.text) && /^([=!<>]=|<|>|in)$/.test(second.text)) {
    const rest = words.slice(2);
    const isPlain = rest.length > 0 && !rest.some((word) => word.depth === 0 && word.text === "&&");
    if (isPlain) {
      const value = text.slice(second.end).trim();
      return { text, field: first.text, op: second.text, value: readable(value) };
    }
  }
  return { text };
}

/** Without quotes where that leaves no doubt. */
function readable(value: string): string {
  return value.replace(/"([A-Za-z0-9_./:-]+)"/g, "$1").replace(/^\[(.*)\]$/s, "$1");
}

/** The opposite of a condition, that has what the condition does not have. */
export function negated(part: string): string {
  const words = tokens(part);
  const last = words.at(-1);
  const isNot = words[0]?.text === "!" && words[1]?.text === "(" && last?.text === ")";
  // The bracket behind `!` is closed by the last word alone.
  const closes = words.findIndex((word, at) => at > 1 && word.text === ")" && word.depth === 0);
  if (isNot && last && closes === words.length - 1) return part.slice(words[1]?.end ?? 0, last.at).trim();
  if (words.length === 1 && /^\w+$/.test(words[0]?.text ?? "")) return `!${part}`;
  if (words.length === 2 && words[0]?.text === "!") return words[1]?.text ?? part;
  return `!(${part})`;
}

/** A value as a filter writes it. */
export function literal(value: string | number | boolean, kind: Kind): string {
  if (kind === "number") return String(value);
  const quoted = JSON.stringify(String(value));
  return kind === "time" ? `timestamp(${quoted})` : quoted;
}

/** A value as the API has it: lists stand for one of their words, maps for none. */
type Given = Value | undefined;

/** The condition that a field has this value; without a value, that it has none. */
export function equals(field: string, given: Given, kind: Kind): string {
  const value = Array.isArray(given) ? given[0] : typeof given === "object" ? undefined : given;
  const slash = field.indexOf("/");
  if (slash >= 0) return within(field.slice(0, slash), value);
  // Groups have it as a word, records as what it is.
  if (kind === "bool") return String(value) === "true" ? field : `!${field}`;
  if (value === undefined || value === "") return kind === "text" ? `${field} == ""` : `!known(${field})`;
  if (kind === "list of text") return `${JSON.stringify(String(value))} in ${field}`;
  return `${field} == ${literal(value, kind)}`;
}

/** The condition that an address is in the network by which it was grouped. */
function within(address: string, network: string | number | boolean | undefined): string {
  if (network === undefined || network === "") return `!known(${address})`;
  const quoted = JSON.stringify(String(network));
  return String(network).includes("/") ? `inCIDR(${address}, ${quoted})` : `${address} == ${quoted}`;
}

/** The filter with only this value: a second one of the same field is either of both. */
export function only(filter: string, field: string, value: Given, kind: Kind): string {
  const wanted = equals(field, value, kind);
  const parts = terms(filter);
  if (parts.includes(wanted)) return filter;
  const own = parts.findIndex((part) => oneOf(part, field) !== undefined);
  const before = own < 0 ? undefined : oneOf(parts[own] ?? "", field);
  if (before === undefined || !wanted.startsWith(`${field} == `)) return join([...parts, wanted]);
  const value_ = wanted.slice(`${field} == `.length);
  if (before.includes(value_)) return filter;
  return join(parts.with(own, `${field} in [${[...before, value_].join(", ")}]`));
}

/** The filter without this value; flows that have none stay. */
export function not(filter: string, field: string, value: Given, kind: Kind): string {
  const parts = terms(filter);
  const unwanted = negated(equals(field, value, kind));
  const wanted = kind === "text" ? unwanted.replace(/^!\((\w+) == (.*)\)$/s, "$1 != $2") : unwanted;
  return parts.includes(wanted) ? filter : join([...parts, wanted]);
}

/** The values that a condition allows of a field, if that is all that it says. */
function oneOf(part: string, field: string): string[] | undefined {
  const words = tokens(part);
  if (words[0]?.text !== field) return undefined;
  if (words[1]?.text === "==" && words.length === 3) return [part.slice(words[2]?.at)];
  if (words[1]?.text !== "in" || words[2]?.text !== "[" || words.at(-1)?.text !== "]") return undefined;
  const inner = words.slice(3, -1);
  if (inner.some((word) => word.depth !== 1)) return undefined;
  return inner.filter((word) => word.text !== ",").map((word) => word.text);
}

/** The filter with all of these conditions, or without them if it has them all. */
export function toggled(filter: string, conditions: string[]): string {
  const parts = terms(filter);
  if (has(filter, conditions)) return join(parts.filter((part) => !conditions.includes(bare(part))));
  return join([...parts, ...conditions.filter((condition) => !parts.map(bare).includes(condition))]);
}

export function has(filter: string, conditions: string[]): boolean {
  const parts = terms(filter).map(bare);
  return conditions.every((condition) => parts.includes(condition));
}

/** Without brackets around all of it. */
function bare(part: string): string {
  const words = tokens(part);
  const closes = words.findIndex((word, at) => at > 0 && word.text === ")" && word.depth === 0);
  return words[0]?.text === "(" && closes === words.length - 1 ? part.slice(1, -1).trim() : part;
}
