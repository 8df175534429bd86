// Who is drawn where: nodes and edges of groups, and a picture of them that is the same for
// the same groups. No clock and no chance in it.
import { equals, join, type Kind } from "./cel";
import { numberOf, visible } from "./format";
import type { Row, Value } from "./types";
import { NOT_NAMED } from "./words";

/** Somebody: what they are called, and the fields of the source's side that say who it is. */
export type Peer = {
  key: string;
  title: string;
  group: string;
  fields: Array<[string, Value]>;
  sent: number;
  received: number;
  within: number;
  x: number;
  y: number;
  radius: number;
};
export type Link = { from: Peer; to: Peer; amount: number; dropped: number };
export type Graph = { peers: Peer[]; links: Link[] };

/** What one side of a row is known by; `fields` are names of the source's side. */
function who(
  row: Row,
  fields: string[],
  destination: boolean,
): { key: string; title: string; group: string; values: Array<[string, Value]> } {
  const values = fields.map((field): [string, Value] => [field, row[destination ? `dst_${field}` : field] ?? ""]);
  const text = (field: string) => String(values.find(([name]) => name === field)?.[1] ?? "");
  const named = values
    .filter(([field, value]) => field !== "workload_kind" && value !== "")
    .map(([, value]) => String(value));
  return {
    key: JSON.stringify(values.map(([, value]) => value)),
    title: visible(named.join("/")) || text("workload_kind") || NOT_NAMED,
    group: text("ns") || named[0] || "",
    values,
  };
}

/** The groups as a graph, with at most so many peers: the heaviest stay. */
export function graphOf(rows: Row[], fields: string[], by: string, most: number): Graph {
  const known = new Map<string, Peer>();
  const peer = ({ key, title, group, values }: ReturnType<typeof who>): Peer => {
    const before = known.get(key);
    if (before) return before;
    const made = { key, title, group, fields: values, sent: 0, received: 0, within: 0, x: 0, y: 0, radius: 0 };
    known.set(key, made);
    return made;
  };
  const links: Link[] = [];
  for (const row of rows) {
    const [from, to] = [peer(who(row, fields, false)), peer(who(row, fields, true))];
    const amount = numberOf(row[by]) ?? 0;
    const packets = numberOf(row["packets"]) ?? 0;
    if (from === to) {
      from.within += amount;
      continue;
    }
    from.sent += amount;
    to.received += amount;
    links.push({ from, to, amount, dropped: packets > 0 ? (numberOf(row["dropped_packets"]) ?? 0) / packets : 0 });
  }
  const peers = [...known.values()].sort((a, b) => weight(b) - weight(a) || (a.key < b.key ? -1 : 1)).slice(0, most);
  const kept = new Set(peers);
  return { peers, links: links.filter(({ from, to }) => kept.has(from) && kept.has(to)) };
}

export const weight = (peer: Peer) => peer.sent + peer.received + peer.within;

const ROUNDS = 250;
/** Room for names at the rims, and between two circles. */
const RIM = { x: 80, top: 28, bottom: 40 };
const BETWEEN = 22;

/** Places peers: those that talk are near, those of a group together, nobody on another. */
export function placed({ peers, links }: Graph, width: number, height: number): Graph {
  const most = Math.max(1, ...peers.map(weight));
  const groups = [...new Set(peers.map((peer) => peer.group))];
  peers.forEach((peer, at) => {
    // Groups have a sector each, the heavy ones stand in the middle.
    const angle = ((groups.indexOf(peer.group) + (at % 7) / 8) / groups.length) * 2 * Math.PI;
    const far = Math.sqrt((at + 0.5) / peers.length) / 2;
    peer.x = width * far * Math.cos(angle);
    peer.y = height * far * Math.sin(angle);
    peer.radius = 6 + 14 * Math.sqrt(weight(peer) / most);
  });
  const apart = 0.8 * Math.sqrt((width * height) / Math.max(1, peers.length));
  for (let round = 0; round < ROUNDS; round += 1) step(peers, links, apart, (width / 10) * (1 - round / ROUNDS) + 0.5);
  spread(peers, width, height);
  separate(peers, width, height);
  return { peers, links };
}

/** One round (Fruchterman and Reingold 1991): all are pushed apart, those that talk and those of a group pulled together. */
function step(peers: Peer[], links: Link[], apart: number, furthest: number): void {
  const moves = new Map<Peer, { x: number; y: number }>(peers.map((peer) => [peer, { x: 0, y: 0 }]));
  const move = (peer: Peer, dx: number, dy: number, part: number) => {
    const own = moves.get(peer);
    if (!own) return;
    own.x += dx * part;
    own.y += dy * part;
  };
  for (const [at, one] of peers.entries()) {
    move(one, -one.x, -one.y, 0.05);
    for (const other of peers.slice(at + 1)) {
      const [dx, dy] = [one.x - other.x || 0.01 * (at + 1), one.y - other.y || 0.01];
      const part = Math.min(1, (apart * apart) / (dx * dx + dy * dy));
      move(one, dx, dy, part);
      move(other, -dx, -dy, part);
    }
  }
  // However many talk to each other, all of them together pull as much as one a peer.
  const share = Math.min(1, peers.length / Math.max(1, links.length));
  for (const { from, to } of links) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const part = (Math.hypot(dx, dy) / apart) * share * (from.group === to.group ? 1 : 0.4);
    move(from, dx, dy, Math.min(0.5, part));
    move(to, -dx, -dy, Math.min(0.5, part));
  }
  for (const [peer, { x, y }] of moves) {
    const far = Math.hypot(x, y);
    const part = far > furthest ? furthest / far : 1;
    peer.x += x * part;
    peer.y += y * part;
  }
}

/** All of it into the picture: half by place, half by rank, so that one who is far off leaves room. */
function spread(peers: Peer[], width: number, height: number): void {
  const scale = (values: number[], from: number, to: number) => {
    const ordered = values.toSorted((a, b) => a - b);
    const [least, most] = [ordered[0] ?? 0, ordered.at(-1) ?? 0];
    return (value: number) => {
      if (most <= least) return (from + to) / 2;
      const part = ((value - least) / (most - least) + ordered.indexOf(value) / (ordered.length - 1)) / 2;
      return from + part * (to - from);
    };
  };
  const x = scale(
    peers.map((peer) => peer.x),
    RIM.x,
    width - RIM.x,
  );
  const y = scale(
    peers.map((peer) => peer.y),
    RIM.top,
    height - RIM.bottom,
  );
  for (const peer of peers) [peer.x, peer.y] = [x(peer.x), y(peer.y)];
}

/** Whoever stands too near to another makes room. */
function separate(peers: Peer[], width: number, height: number): void {
  for (let round = 0; round < 60; round += 1) {
    for (const [at, one] of peers.entries()) {
      for (const other of peers.slice(at + 1)) {
        const [dx, dy] = [other.x - one.x || 0.01 * (at + 1), other.y - one.y || 0.01];
        const distance = Math.hypot(dx, dy);
        const lacks = one.radius + other.radius + BETWEEN - distance;
        if (lacks <= 0) continue;
        const [x, y] = [((dx / distance) * lacks) / 2, ((dy / distance) * lacks) / 2];
        [one.x, one.y, other.x, other.y] = [one.x - x, one.y - y, other.x + x, other.y + y];
      }
    }
    for (const peer of peers) {
      peer.x = Math.max(RIM.x / 2, Math.min(width - RIM.x / 2, peer.x));
      peer.y = Math.max(RIM.top, Math.min(height - RIM.bottom, peer.y));
    }
  }
}

/** The heaviest edges that have this part of all, and at most so many: more hide each other. */
export function heaviest(links: Link[], part: number, most: number): Link[] {
  const ordered = links.toSorted((a, b) => b.amount - a.amount);
  const all = ordered.reduce((sum, link) => sum + link.amount, 0);
  let sum = 0;
  const kept = ordered.filter((link) => {
    const wanted = sum < all * part;
    sum += link.amount;
    return wanted;
  });
  return kept.slice(0, most);
}

/** Who is next in a direction: near, and not far off the line. */
export function nextTo(peers: Peer[], from: Peer, dx: number, dy: number): Peer | undefined {
  let best: { peer: Peer; cost: number } | undefined;
  for (const peer of peers) {
    const [x, y] = [peer.x - from.x, peer.y - from.y];
    const along = x * dx + y * dy;
    if (peer === from || along <= 0) continue;
    const cost = along + 2 * Math.abs(x * dy - y * dx);
    if (!best || cost < best.cost) best = { peer, cost };
  }
  return best?.peer;
}

/** How a name is written below somebody: not longer than this. */
const LONGEST_NAME = 26;
const LETTER = 6.6;
const LINE = 14;

export const shortName = (peer: Peer) =>
  peer.title.length > LONGEST_NAME ? `${peer.title.slice(0, LONGEST_NAME - 1)}…` : peer.title;

/** Where the name of somebody stands: its left, top, right and bottom. */
function nameBox(peer: Peer): [number, number, number, number] {
  const half = (shortName(peer).length * LETTER) / 2;
  const top = peer.y + peer.radius + 2;
  return [peer.x - half, top, peer.x + half, top + LINE];
}

/** Those whose names find room: the heaviest first, and none on another. */
export function named(peers: Peer[]): Peer[] {
  const taken: Array<[number, number, number, number]> = [];
  return peers.filter((peer) => {
    const [left, top, right, bottom] = nameBox(peer);
    const collides = taken.some(([l, t, r, b]) => left < r && l < right && top < b && t < bottom);
    if (!collides) taken.push([left, top, right, bottom]);
    return !collides;
  });
}

/** The condition that somebody is this end of a flow: all that tells of them, also what is empty. */
export function endOf(peer: Peer, destination: boolean, kindOf: (field: string) => Kind): string {
  const conditions = peer.fields.map(([field, value]) => {
    const name = destination ? `dst_${field}` : field;
    return equals(name, value, kindOf(name));
  });
  return join(conditions);
}
