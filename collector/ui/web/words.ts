// Words that several parts share: titles of pages, fields and measures, quick filters, keys, and
// what is said when something fails. What the collector says is passed on as it is.

export const PAGE_TITLES: Record<string, string> = {
  overview: "Overview",
  flows: "Flows",
  topology: "Topology",
  matrix: "Matrix",
  sankey: "Sankey",
  nodes: "Nodes",
  status: "Status",
};

/** What each page answers. */
export const PAGE_ASKS: Record<string, string> = {
  overview: "What is big, and what is odd?",
  flows: "Which flows are these?",
  topology: "Who talks to whom?",
  matrix: "Who called whom?",
  sankey: "Which way does it go?",
  nodes: "Which nodes export, and how much?",
  status: "Does the collector get and keep what is sent?",
};

/** Titles of measures; the name of the API stands in their hints. */
const MEASURES: Record<string, string> = {
  bytes: "Bytes",
  packets: "Packets",
  flows: "Flows",
  sent: "Sent",
  received: "Received",
  byte_rate: "Byte rate",
  packet_rate: "Packet rate",
  max_byte_rate: "Peak rate",
  share: "Share",
  dropped_bytes: "Dropped bytes",
  dropped_packets: "Dropped packets",
  first_seen: "First seen",
  last_seen: "Last seen",
  compared: "Then and now",
  reverse_bytes: "Bytes back",
  reverse_packets: "Packets back",
  reverse_flows: "Flows back",
  connections: "Connections",
  strength: "How sure",
  weak_flows: "Weak flows",
  evidence: "Evidence",
  time: "Time",
};

export function measureTitle(name: string): string {
  const then = /^(.*)_(then|change)$/.exec(name);
  if (then) return `${measureTitle(then[1] ?? "")}, ${then[2]}`;
  return (Object.hasOwn(MEASURES, name) ? MEASURES[name] : undefined) ?? fieldTitle(name);
}

const FIELDS: Record<string, string> = {
  ns: "namespace",
  mac: "Ethernet address",
  if_index: "interface index",
  if_name: "interface",
  l2_bytes: "bytes of layer 2",
  ttl: "TTL",
  dscp: "DSCP",
  asn: "AS number",
  obs_domain_id: "observation domain",
  obs_point_id: "observation point",
  tcp_flags: "TCP flags",
  pod_name: "pod",
  workload_name: "workload",
  workload_kind: "kind of workload",
  addr: "address",
  node_name: "node",
  exporter_node: "exporting node",
  identified_by: "known by",
  server: "which side listens",
  primary: "counted once",
  all_observations: "every observation",
  service_name: "service",
  subnet_label: "network",
};

/** The title of a field: which side it is of, and what. */
export function fieldTitle(name: string): string {
  const bare = name.replace(/^dst_/, "");
  const word = (Object.hasOwn(FIELDS, bare) ? FIELDS[bare] : undefined) ?? bare.replaceAll("_", " ");
  const title = name === bare ? word : `destination ${word}`;
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** Fields by which sides are grouped, from the whole to the single. */
export const LEVELS: Array<[string, string[]]> = [
  ["zone", ["zone"]],
  ["node", ["node_name"]],
  ["namespace", ["ns"]],
  ["workload", ["ns", "workload_name"]],
  ["pod", ["ns", "pod_name"]],
  ["service", ["service_ns", "service_name"]],
  ["network", ["subnet_label"]],
  ["address", ["addr"]],
];

/** Filters that are often wanted; each is a list of conditions. */
export const QUICK: Array<[string, string[]]> = [
  ["To the internet", ['dst_workload_kind == "internet"']],
  ["From the internet", ['workload_kind == "internet"']],
  ["Between zones", ['zone != ""', 'dst_zone != ""', "zone != dst_zone"]],
  ["Between namespaces", ['ns != ""', 'dst_ns != ""', "ns != dst_ns"]],
  ["Within the cluster", ['ns != ""', 'dst_ns != ""']],
  ["Services", ['service_name != "" || dst_service_name != ""']],
  ["DNS", ["port == 53 || dst_port == 53"]],
  ["Dropped", ['verdict == "dropped"']],
  ["Not named", ['identified_by == "" || dst_identified_by == ""']],
  ["Ambiguous", ['identified_by == "ambiguous" || dst_identified_by == "ambiguous"']],
];

export const PRESETS = ["5m", "15m", "1h", "6h", "12h", "1d", "2d", "7d"];
export const REFRESH: Array<[string, number]> = [
  ["off", 0],
  ["5 s", 5],
  ["30 s", 30],
  ["1 min", 60],
  ["5 min", 300],
];

/** Keys, and what they do. */
export const KEYS: Array<[string, string]> = [
  ["/", "Filter"],
  ["t", "Time"],
  ["[ ]", "Earlier, later"],
  ["r", "Ask again"],
  ["g then a letter", "Page: o, f, t (Topology), m, s (Sankey), n, c (Status)"],
  ["?", "These keys"],
  ["Arrows, Home, End", "Within a table"],
  ["Enter", "Menu of a value"],
  ["f", "Only this value"],
  ["x", "Not this value"],
  ["c", "Copy the value"],
  ["Shift and arrows, Enter", "In a chart: a range, which becomes the time"],
];

export const UNKNOWN = "–";
export const NOT_NAMED = "Not named";

/** What is said when something cannot be answered. */
export const FAILURES: Record<string, string> = {
  offline: "The collector does not answer.",
  proxy: "Something between here and the collector answered in its place.",
  forbidden: "You may not see this.",
  "too-much": "That is too much for one answer.",
  busy: "Others are asking, and no turn came.",
  timeout: "The answer took too long.",
  unavailable: "Nothing can be answered now.",
  internal: "The collector failed; its log says why.",
  filter: "The filter is wrong.",
  parameter: "The question is wrong.",
  "not-found": "The collector has no such page: it is older than this one.",
  page: "This page failed.",
};

export const STRENGTHS: Record<string, string> = {
  proven: "proven",
  likely: "likely",
  weak: "weak",
  unknown: "not known who called",
};
