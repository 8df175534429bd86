// The question that a page shows: the address of the page says all of it, in the names of
// the API. What the API does not know is the page's own and is kept.

/** How a key of the address is read. */
type Shape = "text" | "list" | "flag" | "number" | "texts";

/** Every key that is known; the defaults are not written. */
const KEYS = {
  filter: ["text", ""],
  since: ["text", "1h"],
  until: ["text", ""],
  all_observations: ["flag", false],
  off: ["texts", []],
  tz: ["text", ""],
  group_by: ["list", []],
  measures: ["list", []],
  by: ["text", ""],
  top: ["number", 0],
  bucket: ["text", ""],
  compare: ["text", ""],
  conversation: ["flag", false],
  columns: ["list", []],
  order: ["text", ""],
  both_directions: ["flag", false],
  direction: ["text", ""],
  ports: ["flag", false],
  show: ["text", ""],
  live: ["flag", false],
  sel: ["text", ""],
  net_flow: ["list", []],
  s_flow: ["list", []],
  ipfix: ["list", []],
  profile: ["text", ""],
  set: ["list", []],
  ns: ["list", []],
  workload: ["text", ""],
  level: ["text", ""],
  internet: ["text", ""],
  kind: ["text", ""],
  on_top: ["flag", false],
  weak: ["flag", false],
  unanswered: ["flag", false],
  denied: ["flag", false],
  strict: ["flag", false],
  delete: ["list", []],
  src: ["text", ""],
  dst: ["text", ""],
  port: ["text", ""],
  colour: ["text", ""],
} as const satisfies Record<string, readonly [Shape, unknown]>;

type Read<S extends Shape> = S extends "text"
  ? string
  : S extends "flag"
    ? boolean
    : S extends "number"
      ? number
      : string[];
export type Key = keyof typeof KEYS;
export type Question = { [K in Key]: Read<(typeof KEYS)[K][0]> } & { unknown: Array<[string, string]> };

/** What all pages have in common: who goes to another page takes it along. */
export const COMMON: Key[] = ["filter", "since", "until", "all_observations", "off", "tz"];

/** The question of an address without anything. */
export function nothing(): Question {
  const question: Record<string, unknown> = { unknown: [] };
  for (const [key, [, usual]] of Object.entries(KEYS)) question[key] = Array.isArray(usual) ? [] : usual;
  return question as Question;
}

/** What stands behind the first `?`; a filter may have more of them. */
export function searchOf(address: string): string {
  const at = address.indexOf("?");
  return at < 0 ? "" : address.slice(at + 1);
}

/** The question that an address asks. */
export function parse(search: string): Question {
  const question: Record<string, unknown> = nothing();
  const unknown: Array<[string, string]> = [];
  for (const [key, value] of new URLSearchParams(search)) {
    const shape = Object.hasOwn(KEYS, key) ? KEYS[key as Key][0] : undefined;
    switch (shape) {
      case undefined:
        unknown.push([key, value]);
        break;
      case "texts":
        (question[key] as string[]).push(value);
        break;
      case "list":
        question[key] = value
          .split(",")
          .map((word) => word.trim())
          .filter((word) => word !== "");
        break;
      case "flag":
        question[key] = value === "true" || value === "1";
        break;
      case "number":
        question[key] = /^\d{1,9}$/.test(value) ? Number(value) : 0;
        break;
      default:
        question[key] = value;
    }
  }
  return { ...question, unknown } as Question;
}

/** The address of a question, without `?`. */
export function write(question: Question): string {
  const pairs: Array<[string, string]> = [];
  for (const [key, [shape, usual]] of Object.entries(KEYS)) {
    const value = question[key as Key];
    if (Array.isArray(value)) {
      if (shape === "texts") pairs.push(...value.map((one): [string, string] => [key, one]));
      else if (value.length > 0) pairs.push([key, value.join(",")]);
    } else if (value !== usual) {
      pairs.push([key, String(value)]);
    }
  }
  return new URLSearchParams([...pairs, ...question.unknown]).toString();
}

/** What another page is asked when one goes there from here. */
export function carried(question: Question): Question {
  const kept = nothing() as Record<string, unknown>;
  for (const key of COMMON) kept[key] = question[key];
  return kept as Question;
}

/** Parameters of a request: what says nothing is left out. */
export type Params = Record<string, string | number | boolean | string[] | undefined>;

/** Parameters as a query string, always in the same order. */
export function encode(params: Params): string {
  const pairs = Object.entries(params).flatMap(([key, value]): Array<[string, string]> => {
    if (value === undefined || value === "" || value === false || value === 0) return [];
    if (Array.isArray(value)) return value.length > 0 ? [[key, value.join(",")]] : [];
    return [[key, String(value)]];
  });
  return new URLSearchParams(pairs).toString();
}

/** Which flows, as every page of the API wants it. */
export function selection(question: Question): Params {
  const { filter, since, until, all_observations } = question;
  return { filter, since, until, all_observations };
}

/** What is said of groups when nobody says. */
export function measuresOf(question: Question): string[] {
  const usual = question.conversation ? ["sent", "received", "flows"] : ["bytes", "packets", "flows"];
  const measures = question.measures.length > 0 ? question.measures : usual;
  return measures.includes(byOf(question)) ? measures : [byOf(question), ...measures];
}

/** What groups are ordered by when nobody says. */
export const byOf = (question: Question) => question.by || (question.conversation ? "sent" : "bytes");

/** The question as sums over groups. */
export function sums(question: Question): Params {
  const { group_by, compare, conversation } = question;
  return {
    ...selection(question),
    group_by,
    measures: measuresOf(question),
    by: byOf(question),
    top: question.top || 50,
    bucket: question.bucket,
    compare,
    conversation,
  };
}

/** The question as records. */
export function records(question: Question): Params {
  const { order, both_directions, columns } = question;
  return { ...selection(question), columns, order, both_directions, limit: 100 };
}

/** Whether records are asked for in the order of their time, each once. */
export const isByTime = ({ order, both_directions }: Question) =>
  (order === "" || order === "oldest") && !both_directions;

/** The question as records that are still to come. */
export function arriving(question: Question): Params {
  const { filter, all_observations, both_directions, columns } = question;
  return { filter, all_observations, both_directions, columns };
}

/** The question as a matrix. */
export function matrix(question: Question): Params {
  const { filter, since, until, direction, ports, by } = question;
  return { filter, since, until, direction, by, ports, limit: question.top || 1000 };
}

/** The question as one about policies beside the traffic that was seen. */
export function policies(question: Question): Params {
  const { filter, since, until, ns } = question;
  return { ns, filter, since, until };
}

/** The question as policies that let pass what was seen. */
export function generation(question: Question): Params {
  const { workload, level, internet, kind, on_top, weak, unanswered, denied } = question;
  return { ...policies(question), workload, level, internet, kind, on_top, weak, unanswered, denied };
}

/** The question as what a change of policies would have done; the change itself is sent beside it. */
export function replay(question: Question): Params {
  const { filter, since, until, strict } = question;
  return { filter, since, until, strict, delete: question.delete };
}

/** For a POSIX shell. */
export const quoted = (text: string) =>
  /^[A-Za-z0-9_.,:=/+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** The command that asks the same. */
export function command(verb: string, params: Params): string {
  // Of policies the filter is one of several choices, and lists are said item by item.
  const isPolicy = verb.startsWith("policy ");
  const { filter, ...rest } = params;
  const words = ["weir", verb];
  if (filter && !isPolicy) words.push(quoted(String(filter)));
  for (const [key, value] of new URLSearchParams(encode(isPolicy ? params : rest))) {
    const option = `--${key.replaceAll("_", "-")}`;
    const values = isPolicy && Array.isArray(params[key]) ? value.split(",") : [value];
    for (const one of values) words.push(one === "true" ? option : `${option} ${quoted(one)}`);
  }
  return words.join(" ");
}

/** The request that asks the same. */
export function curl(address: string, params: Params): string {
  const data = [...new URLSearchParams(encode(params))].map(
    ([key, value]) => ` --data-urlencode ${quoted(`${key}=${value}`)}`,
  );
  return `curl -G ${quoted(address)}${data.join("")}`;
}
