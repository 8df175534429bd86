import { expect, test } from "vitest";
import { ceiling, starts } from "./axis";
import { COLOURS, colours } from "./colour";
import { cellsOf, heat, layout, MOST_CLIENTS, MOST_SERVERS, tellingFields } from "./matrix";
import { Random } from "./random";
import { gathered, picture, REST, type Way } from "./sankey";
import { endOf, graphOf, named, nextTo, placed, shortName, weight } from "./topology";

const SIZE = { width: 900, height: 480, node: 12, gap: 10 };

const someWays = (random: Random): Way[] =>
  Array.from({ length: 1 + random.below(80) }, () => ({
    values: [random.below(20), random.below(30), random.below(20)].map((value) => `v${value}`),
    amount: 1 + random.below(1000),
  }));

test("every column of a Sankey picture has all of it, and bands fill their nodes", () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const ways = gathered(someWays(new Random(seed)), 10);
    const { nodes, bands, total } = picture(ways, SIZE);
    for (const column of [0, 1, 2]) {
      const own = nodes.filter((node) => node.column === column);
      expect(own.length).toBeLessThanOrEqual(11);
      expect(own.reduce((sum, node) => sum + node.amount, 0)).toBe(total);
      for (const node of own) expect(node.y + node.height).toBeLessThanOrEqual(SIZE.height + 0.001);
    }
    for (const node of nodes) {
      const [out, into] = [bands.filter((band) => band.from === node), bands.filter((band) => band.to === node)];
      if (node.column < 2) expect(out.reduce((sum, band) => sum + band.height, 0)).toBeCloseTo(node.height);
      if (node.column > 0) expect(into.reduce((sum, band) => sum + band.height, 0)).toBeCloseTo(node.height);
    }
  }
});

test("the same ways make the same picture, whoever talks to themselves", () => {
  const ways: Way[] = [
    { values: ["a", "b"], amount: 3 },
    { values: ["b", "a"], amount: 2 },
    { values: ["a", "a"], amount: 1 },
  ];
  expect(picture(ways, SIZE)).toEqual(picture(structuredClone(ways), SIZE));
  expect(picture(ways, SIZE).bands.length).toBe(3);
  expect(picture([], SIZE)).toEqual({ nodes: [], bands: [], total: 0 });
});

test("what has no node of its own is joined", () => {
  const ways = gathered(
    [
      { values: ["a", "x"], amount: 5 },
      { values: ["b", "y"], amount: 1 },
      { values: ["c", "y"], amount: 1 },
    ],
    1,
  );
  expect(ways).toEqual([
    { values: ["a", "x"], amount: 5 },
    { values: [REST, REST], amount: 2 },
  ]);
});

test("cells of a matrix and what is left out are all of its edges", () => {
  const random = new Random(3);
  const rows = Array.from({ length: 3000 }, () => ({
    ns: `n${random.below(20)}`,
    workload_name: `w${random.below(200)}`,
    dst_ns: "d",
    dst_workload_name: `s${random.below(100)}`,
    dst_port: random.below(3),
    bytes: random.below(1_000_000),
    reverse_bytes: 1,
    strength: "proven",
  }));
  const edges = cellsOf(rows);
  const { clients, servers, cells, left } = layout(edges, false);
  expect([clients.length, servers.length]).toEqual([MOST_CLIENTS, MOST_SERVERS]);
  const shown = edges.filter((edge) => cells.get(edge.client.key)?.has(edge.server.key));
  expect(shown.length + left).toBe(edges.length);
  const sum = [...cells.values()].flatMap((row) => [...row.values()]).reduce((all, cell) => all + cell.bytes, 0);
  expect(sum).toBe(shown.reduce((all, edge) => all + edge.bytes, 0));
});

test("ends are told by their fields, the port is the server's", () => {
  const [edge] = cellsOf([
    {
      ns: "shop",
      workload_name: "web",
      dst_ns: "shop",
      dst_workload_name: "cart",
      dst_port: 8443,
      protocol: "tcp",
      bytes: 1,
      strength: "weak",
    },
  ]);
  expect([edge?.client.title, edge?.server.title]).toEqual(["shop/web", "shop/cart:8443"]);
  expect(edge?.client.fields).toEqual({ ns: "shop", workload_name: "web" });
  expect(tellingFields(edge!.server)).toEqual([
    ["dst_ns", "shop"],
    ["dst_workload_name", "cart"],
    ["dst_port", 8443],
    ["protocol", "tcp"],
  ]);
  const [nobody] = cellsOf([{ ns: "", workload_kind: "", dst_ns: "shop", dst_workload_kind: "", bytes: 1 }]);
  expect([tellingFields(nobody!.client), tellingFields(nobody!.server)]).toEqual([[["ns", ""]], [["dst_ns", "shop"]]]);
  const [outside] = cellsOf([{ workload_kind: "internet", dst_workload_kind: "private", bytes: 1 }]);
  expect([outside?.client.title, outside?.server.title]).toEqual(["internet", "private"]);
});

const someRows = (random: Random) =>
  Array.from({ length: 200 }, () => ({
    ns: `n${random.below(12)}`,
    dst_ns: `n${random.below(12)}`,
    bytes: 1 + random.below(1_000_000),
    packets: 100,
    dropped_packets: random.below(20),
  }));

test("every edge of a graph is drawn, or is within somebody", () => {
  const rows = someRows(new Random(5));
  const { peers, links } = graphOf(rows, ["ns"], "bytes", 100);
  const all = rows.reduce((sum, row) => sum + row.bytes, 0);
  expect(links.reduce((sum, link) => sum + link.amount, 0) + peers.reduce((sum, peer) => sum + peer.within, 0)).toBe(
    all,
  );
  expect(peers.reduce((sum, peer) => sum + weight(peer), 0)).toBe(
    2 * all - peers.reduce((sum, peer) => sum + peer.within, 0),
  );
  const few = graphOf(rows, ["ns"], "bytes", 3);
  expect(few.peers.map((peer) => peer.key)).toEqual(peers.slice(0, 3).map((peer) => peer.key));
  expect(few.links.every(({ from, to }) => few.peers.includes(from) && few.peers.includes(to))).toBe(true);
});

test("the same groups make the same picture, and nobody stands on another or outside", () => {
  for (let seed = 0; seed < 10; seed += 1) {
    const drawn = placed(graphOf(someRows(new Random(seed)), ["ns"], "bytes", 100), 900, 600);
    const again = placed(graphOf(someRows(new Random(seed)), ["ns"], "bytes", 100), 900, 600);
    expect(drawn.peers.map(({ key, x, y }) => [key, x, y])).toEqual(again.peers.map(({ key, x, y }) => [key, x, y]));
    for (const [at, one] of drawn.peers.entries()) {
      expect(one.x > 0 && one.x < 900 && one.y > 0 && one.y < 600).toBe(true);
      for (const other of drawn.peers.slice(at + 1))
        expect(Math.hypot(one.x - other.x, one.y - other.y)).toBeGreaterThan(one.radius + other.radius);
    }
  }
});

test("no name stands on another, and the heaviest has one", () => {
  const { peers } = placed(graphOf(someRows(new Random(4)), ["ns"], "bytes", 100), 300, 300);
  const shown = named(peers);
  expect(shown[0]).toBe(peers[0]);
  const right = (peer: (typeof peers)[number]) => peer.x + (shortName(peer).length * 6.6) / 2;
  for (const [at, one] of shown.entries()) {
    for (const other of shown.slice(at + 1)) {
      const [a, b] = one.x < other.x ? [one, other] : [other, one];
      const apart = right(a) <= 2 * b.x - right(b) || Math.abs(a.y + a.radius - b.y - b.radius) >= 14;
      expect(apart).toBe(true);
    }
  }
});

test("somebody is told by all that tells of them, also by what is empty", () => {
  const rows = [{ service_ns: "", service_name: "", dst_service_ns: "shop", dst_service_name: "", bytes: 1 }];
  const { peers } = graphOf(rows, ["service_ns", "service_name"], "bytes", 10);
  const of = (title: string) => peers.find((peer) => peer.title === title)!;
  expect(endOf(of("Not named"), false, () => "text")).toBe('service_ns == "" && service_name == ""');
  expect(endOf(of("shop"), true, () => "text")).toBe('dst_service_ns == "shop" && dst_service_name == ""');
});

test("arrows reach everybody", () => {
  const { peers } = placed(graphOf(someRows(new Random(2)), ["ns"], "bytes", 100), 900, 600);
  const seen = new Set(peers.slice(0, 1));
  for (const peer of seen)
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ] as const) {
      const next = nextTo(peers, peer, dx, dy);
      if (next) seen.add(next);
    }
  expect(seen.size).toBe(peers.length);
});

test("heat has seven steps, and more is never paler", () => {
  let before = 0;
  for (let bytes = 1; bytes <= 1e9; bytes *= 3) {
    const step = heat(bytes, 1e9);
    expect(step).toBeGreaterThanOrEqual(before);
    before = step;
  }
  expect([heat(0, 10), heat(1e9, 1e9)]).toEqual([0, 6]);
});

test("names have the colour of their own unless a larger one has it", () => {
  const names = Array.from({ length: COLOURS }, (_, at) => `team-${at}`);
  expect(new Set(colours(names).values()).size).toBe(COLOURS);
  expect(colours(["a"]).get("a")).toBe(colours(["a", "b", "c"]).get("a"));
});

test("buckets of a chart begin by the clock and cover the range", () => {
  const range = { since: Date.parse("2026-11-29T10:00:30Z"), until: Date.parse("2026-11-29T10:05:00Z") };
  const times = starts(range, 60_000);
  expect(times[0]).toBe(Date.parse("2026-11-29T10:00:00Z"));
  expect(times.length).toBe(5);
  expect([0, 3, 17, 1000].map(ceiling)).toEqual([1, 5, 20, 1000]);
});
