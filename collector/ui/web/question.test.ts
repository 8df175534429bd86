import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import {
  arriving,
  COMMON,
  carried,
  command,
  curl,
  encode,
  matrix,
  measuresOf,
  nothing,
  parse,
  type Question,
  quoted,
  records,
  searchOf,
  sums,
  write,
} from "./question";
import { Random } from "./random";

const TEXTS = [
  "",
  "shop",
  'ns == "a" && x',
  "a=b;c~d%20+e",
  "ünï🐟",
  "<img onerror=x>",
  "'; rm -rf /",
  'line\nbreak "quoted" \\',
];

function some(random: Random): Question {
  const question = nothing() as Record<string, unknown>;
  for (const [key, usual] of Object.entries(question)) {
    if (key === "unknown") question[key] = random.list(2, () => [`x-${random.below(9)}`, random.pick(TEXTS)]);
    else if (key === "off") question[key] = random.list(3, () => random.pick(TEXTS));
    else if (Array.isArray(usual))
      question[key] = random.list(4, () => random.pick(["ns", "dst_ns", "addr/24", "dst_port"]));
    else if (typeof usual === "boolean") question[key] = random.below(2) === 1;
    else if (typeof usual === "number") question[key] = random.below(1000);
    else question[key] = random.pick(TEXTS);
  }
  return question as Question;
}

test("a question comes back from its address", () => {
  for (let seed = 0; seed < 500; seed += 1) {
    const question = some(new Random(seed));
    const address = write(question);
    expect(parse(address)).toEqual(question);
    expect(write(parse(address))).toBe(address);
  }
});

test("an address that is written by hand is read to its end", () => {
  const address = 'flows?since=6h&filter=dst_port==443?ns=="team-0":false&group_by=ns';
  const question = parse(searchOf(address));
  expect(question.filter).toBe('dst_port==443?ns=="team-0":false');
  expect(question.group_by).toEqual(["ns"]);
  expect(searchOf("flows")).toBe("");
});

test("what nobody chose is not written", () => {
  expect(write(nothing())).toBe("");
  expect(write(parse("since=1h&until=&conversation=false"))).toBe("");
});

test("keys that are not known are kept, and names of objects are none", () => {
  expect(write(parse("later=1&filter=a&toString=x&__proto__=y"))).toBe("filter=a&later=1&toString=x&__proto__=y");
});

test("nonsense in an address is the default", () => {
  const question = parse("top=many&conversation=perhaps&group_by=,,ns,");
  expect([question.top, question.conversation, question.group_by]).toEqual([0, false, ["ns"]]);
});

test("another page is taken what all have in common and nothing else", () => {
  const question = some(new Random(7));
  const there = carried(question);
  for (const key of COMMON) expect(there[key]).toEqual(question[key]);
  expect([there.by, there.group_by, there.live]).toEqual(["", [], false]);
});

test("the API is asked nothing that says nothing, nor what is the page's own", () => {
  const question = parse("filter=a&show=table&live=true&tz=utc&off=b&zzz=1");
  for (const asked of [sums(question), records(question), matrix(question), arriving(question)]) {
    const keys = [...new URLSearchParams(encode(asked)).keys()];
    expect(keys).not.toContain("until");
    for (const own of ["show", "live", "tz", "off", "zzz"]) expect(keys).not.toContain(own);
  }
});

test("the measure that groups are ordered by is among those that are shown", () => {
  expect(measuresOf(parse("by=max_byte_rate"))).toEqual(["max_byte_rate", "bytes", "packets", "flows"]);
  expect(measuresOf(parse("conversation=true"))).toEqual(["sent", "received", "flows"]);
});

test("a shell reads each word of a command as it was", () => {
  for (const text of TEXTS.filter((text) => text !== "")) {
    const told = execFileSync("sh", ["-c", `printf '%s' ${quoted(text)}`]).toString();
    expect(told).toBe(text);
  }
  const params = { filter: `ns == "it's"`, since: "1h", group_by: ["ns", "dst_ns"], conversation: true, top: 5 };
  expect(command("flows", params)).toBe(
    `weir flows 'ns == "it'\\''s"' --since 1h --group-by ns,dst_ns --conversation --top 5`,
  );
  expect(curl("http://h/api/v1/query", { filter: "a b", top: 5 })).toBe(
    `curl -G 'http://h/api/v1/query' --data-urlencode 'filter=a b' --data-urlencode top=5`.replace(
      "'http://h/api/v1/query'",
      quoted("http://h/api/v1/query"),
    ),
  );
});
