import { expect, test } from "vitest";
import { chip, equals, has, join, literal, negated, not, only, terms, toggled } from "./cel";
import { Random } from "./random";
import { QUICK } from "./words";

const ATOMS = [
  'ns == "shop"',
  "dst_port in [443, 8443]",
  "primary",
  '!(addr == "10.0.0.1")',
  'workload_name.matches("^a && b(")',
  'name == "say \\"&&\\" (x"',
  "bytes / packets > 1000",
  'pod_labels["a&&b"] == "||"',
  "r'a\\' == ns",
];

function filter(random: Random, depth: number): string {
  if (depth === 0 || random.below(3) === 0) return random.pick(ATOMS);
  const parts = Array.from({ length: 1 + random.below(3) }, () => filter(random, depth - 1));
  return random.below(2) === 0 ? parts.join(" && ") : `(${parts.join(" || ")})`;
}

test("conditions that are joined again are the filter, for 200 filters", () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const text = filter(new Random(seed), 3);
    expect(terms(join(terms(text)))).toEqual(terms(text));
    expect(join(terms(text)).replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
  }
});

test("conditions are split where they are joined and nowhere else", () => {
  expect(terms('ns == "a && b" && (x || y) && f(a && b)')).toEqual(['ns == "a && b"', "(x || y)", "f(a && b)"]);
  expect(terms("a && b || c")).toEqual(["a && b || c"]);
  expect(terms("a ? b && c : d")).toEqual(["a ? b && c : d"]);
  expect(terms("  ")).toEqual([]);
  expect(terms("a &&")).toEqual(["a"]);
});

test("comments hide nothing, and raw strings end where they end", () => {
  const commented = 'ns == "team-0" // mine && a || b';
  expect(terms(commented)).toEqual(['ns == "team-0"']);
  expect(only(commented, "dst_port", 443, "number")).toBe('ns == "team-0" && dst_port == 443');
  expect(terms('ns == "http://x" && a // b\n&& c')).toEqual(['ns == "http://x"', "a", "c"]);
  const raw = "r'\\' == dst_ns || ns == 'b'";
  expect(join([raw, "primary"])).toBe(`(${raw}) && primary`);
  expect(terms('ns == """a " && b""" && c')).toEqual(['ns == """a " && b"""', "c"]);
});

test("every kind of value is written as it is read", () => {
  expect(equals("primary", "true", "bool")).toBe("primary");
  expect(equals("primary", "false", "bool")).toBe("!primary");
  expect(equals("obs_point_id", "18446744073709551615", "number")).toBe("obs_point_id == 18446744073709551615");
  expect(equals("addr/24", "10.128.0.0/24", "text")).toBe('inCIDR(addr, "10.128.0.0/24")');
  expect(equals("dst_addr/48", "10.0.0.1", "text")).toBe('dst_addr == "10.0.0.1"');
  expect(equals("addr/24/64", "", "text")).toBe("!known(addr)");
  expect(equals("tcp_flags", ["SYN", "ACK"], "list of text")).toBe('"SYN" in tcp_flags');
});

test("what is joined with others keeps its meaning", () => {
  expect(join(["a || b", "c"])).toBe("(a || b) && c");
  expect(join(["a || b"])).toBe("a || b");
});

test("the usual conditions are read, others stay as they are", () => {
  expect(chip('ns == "shop"')).toEqual({ text: 'ns == "shop"', field: "ns", op: "==", value: "shop" });
  expect(chip("dst_port in [443, 8443]")).toMatchObject({ field: "dst_port", op: "in", value: "443, 8443" });
  expect(chip('ns.startsWith("a")')).toEqual({ text: 'ns.startsWith("a")' });
  expect(chip('ns == "it \\"is\\""').value).toBe('"it \\"is\\""');
});

test("twice the opposite is the same", () => {
  for (const part of ['ns == "a"', "primary", 'a.startsWith("x")', "(a || b)", "x in [1, 2]"]) {
    expect(negated(negated(part)).replace(/^\((.*)\)$/, "$1")).toBe(part.replace(/^\((.*)\)$/, "$1"));
  }
  expect(negated("primary")).toBe("!primary");
  // The brackets behind `!` do not hold all of it.
  expect(negated("!(a) && !(b)")).toBe("!(!(a) && !(b))");
});

test("only this value, and a second one is either of both", () => {
  const one = only("", "ns", "shop", "text");
  expect(one).toBe('ns == "shop"');
  const two = only(one, "ns", "batch", "text");
  expect(two).toBe('ns in ["shop", "batch"]');
  expect(only(two, "ns", "shop", "text")).toBe(two);
  expect(only(two, "dst_port", 443, "number")).toBe('ns in ["shop", "batch"] && dst_port == 443');
  expect(only("a || b", "ns", "x", "text")).toBe('(a || b) && ns == "x"');
});

test("without this value flows that have none stay", () => {
  expect(not("", "ns", "shop", "text")).toBe('ns != "shop"');
  expect(not("", "dst_port", 443, "number")).toBe("!(dst_port == 443)");
  expect(not("", "addr", "10.0.0.1", "address")).toBe('!(addr == "10.0.0.1")');
  expect(not("", "tcp_flags", "SYN", "list of text")).toBe('!("SYN" in tcp_flags)');
});

test("what is not known is asked for by its kind", () => {
  expect(equals("ns", "", "text")).toBe('ns == ""');
  expect(equals("dst_port", undefined, "number")).toBe("!known(dst_port)");
  expect(negated(equals("dst_port", undefined, "number"))).toBe("!(!known(dst_port))");
  expect(equals("primary", false, "bool")).toBe("!primary");
});

test("no value leaves its quotes", () => {
  for (const value of ['"', "\\", '" || true || "', "a\nb", "</script>", "é"]) {
    const text = equals("name", value, "text");
    expect(terms(text)).toEqual([text]);
    expect(JSON.parse(literal(value, "text"))).toBe(value);
  }
});

test("a quick filter that is set and taken back leaves the filter as it was", () => {
  for (const [name, conditions] of QUICK) {
    for (const before of ["", 'ns == "shop"', 'ns == "shop" && dst_port == 1']) {
      const set = toggled(before, conditions);
      expect(has(set, conditions), name).toBe(true);
      expect(toggled(set, conditions), name).toBe(before);
    }
  }
});
