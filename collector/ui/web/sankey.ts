// Where the nodes and bands of a Sankey picture lie. A node is a value in a column, so that
// there are no cycles, whoever talks to whom.

/** A path: a value in each column, and how much goes that way. */
export type Way = { values: string[]; amount: number };
export type Node = {
  column: number;
  value: string;
  amount: number;
  x: number;
  y: number;
  height: number;
  isOther: boolean;
};
export type Band = { from: Node; to: Node; amount: number; y0: number; y1: number; height: number };
export type Picture = { nodes: Node[]; bands: Band[]; total: number };

/** Stands for all values of a column that have no node of their own. */
export const REST = "\u{0}other";

export type Size = { width: number; height: number; node: number; gap: number };

/** The ways with at most so many values in each column; the smaller ones are joined. */
export function gathered(ways: Way[], most: number): Way[] {
  const columns = ways[0]?.values.length ?? 0;
  const kept = Array.from({ length: columns }, (_, column) => {
    const sums = new Map<string, number>();
    for (const { values, amount } of ways)
      sums.set(values[column] ?? "", (sums.get(values[column] ?? "") ?? 0) + amount);
    const ordered = [...sums].filter(([value]) => value !== REST).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    return new Set(ordered.slice(0, most).map(([value]) => value));
  });
  const joined = new Map<string, Way>();
  for (const { values, amount } of ways) {
    const own = values.map((value, column) => (kept[column]?.has(value) ? value : REST));
    const key = JSON.stringify(own);
    const way = joined.get(key) ?? { values: own, amount: 0 };
    way.amount += amount;
    joined.set(key, way);
  }
  return [...joined.values()];
}

/** The picture; the same ways make the same one. */
export function picture(ways: Way[], size: Size): Picture {
  const columns = ways[0]?.values.length ?? 0;
  const total = ways.reduce((sum, way) => sum + way.amount, 0);
  if (columns < 2 || total <= 0) return { nodes: [], bands: [], total };
  const lists = Array.from({ length: columns }, (_, column) => nodesOf(ways, column));
  const most = Math.max(...lists.map((list) => list.length));
  const gap = Math.min(size.gap, size.height / (2 * most));
  const scale = Math.max(0, size.height - gap * (most - 1)) / total;
  lists.forEach((list, column) => {
    const before = lists[column - 1];
    if (before) order(list, before, ways, column);
    let y = 0;
    for (const node of list) {
      node.x = (column * (size.width - size.node)) / (columns - 1);
      node.height = node.amount * scale;
      node.y = y;
      y += node.height + gap;
    }
  });
  return {
    nodes: lists.flat(),
    bands: lists.slice(1).flatMap((list, at) => bandsOf(lists[at] ?? [], list, ways, at, scale)),
    total,
  };
}

function nodesOf(ways: Way[], column: number): Node[] {
  const found = new Map<string, Node>();
  for (const { values, amount } of ways) {
    const value = values[column] ?? "";
    const node = found.get(value) ?? { column, value, amount: 0, x: 0, y: 0, height: 0, isOther: value === REST };
    node.amount += amount;
    found.set(value, node);
  }
  const rank = (node: Node) => (node.isOther ? 1 : 0);
  return [...found.values()].sort((a, b) => rank(a) - rank(b) || b.amount - a.amount || (a.value < b.value ? -1 : 1));
}

/** Nodes near to those that they come from, so that few bands cross. */
function order(list: Node[], before: Node[], ways: Way[], column: number): void {
  const places = new Map(before.map((node) => [node.value, node.y + node.height / 2]));
  const middle = new Map<string, { sum: number; amount: number }>();
  for (const { values, amount } of ways) {
    const one = middle.get(values[column] ?? "") ?? { sum: 0, amount: 0 };
    one.sum += (places.get(values[column - 1] ?? "") ?? 0) * amount;
    one.amount += amount;
    middle.set(values[column] ?? "", one);
  }
  const at = (node: Node) =>
    node.isOther
      ? Number.POSITIVE_INFINITY
      : (middle.get(node.value)?.sum ?? 0) / (middle.get(node.value)?.amount || 1);
  list.sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
}

function bandsOf(left: Node[], right: Node[], ways: Way[], column: number, scale: number): Band[] {
  const sums = new Map<string, Map<string, number>>();
  for (const { values, amount } of ways) {
    const [from, to] = [values[column] ?? "", values[column + 1] ?? ""];
    const row = sums.get(from) ?? new Map<string, number>();
    sums.set(from, row);
    row.set(to, (row.get(to) ?? 0) + amount);
  }
  const used = new Map<Node, number>();
  const bands: Band[] = [];
  for (const from of left) {
    let out = from.y;
    for (const to of right) {
      const amount = sums.get(from.value)?.get(to.value) ?? 0;
      if (amount <= 0) continue;
      const into = to.y + (used.get(to) ?? 0);
      const height = amount * scale;
      bands.push({ from, to, amount, y0: out, y1: into, height });
      used.set(to, (used.get(to) ?? 0) + height);
      out += height;
    }
  }
  return bands;
}
