// Words that several parts share: titles of pages, fields and measures, quick filters, keys, and
// what is said when something fails. What the collector says is passed on as it is.

export const PAGE_TITLES: Record<string, string> = {
  overview: "Overview",
  flows: "Flows",
  topology: "Topology",
  matrix: "Matrix",
  sankey: "Sankey",
  nodes: "Nodes",
  export: "Export",
  status: "Status",
  policies: "Policies",
  flowmetrics: "Metrics",
};

/** What each page answers. */
export const PAGE_ASKS: Record<string, string> = {
  overview: "What is big, and what is odd?",
  flows: "Which flows are these?",
  topology: "Who talks to whom?",
  matrix: "Who called whom?",
  sankey: "Which way does it go?",
  nodes: "Which nodes export, and how much?",
  export: "Is the export on, where not, and what does it cost?",
  status: "Does the collector get and keep what is sent?",
  policies: "Who may, and what would break?",
  flowmetrics: "What is counted, and how many series is it?",
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
  policy_verdict: "policies say",
  policy_reason: "why policies say so",
  ingress_policy: "policy of the server",
  egress_policy: "policy of the client",
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
  ["Denied by policy", ['policy_verdict == "deny"']],
  ["No policy decides", ['policy_verdict == "allow"', 'policy_reason == "default"']],
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
  ["g then a letter", "Page: o, f, t (Topology), m, s (Sankey), n, e (Export), c (Status), p, x (Metrics)"],
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
  "no-cluster": "There is no cluster.",
  internal: "The collector failed; its log says why.",
  filter: "The filter is wrong.",
  parameter: "The question is wrong.",
  "not-found": "The collector has no such page: it is older than this one.",
  page: "This page failed.",
  objects: "What was sent is not understood.",
  body: "What was sent is not understood.",
  "no-policies": "It is not known which policies there are.",
};

export const STRENGTHS: Record<string, string> = {
  proven: "proven",
  likely: "likely",
  weak: "weak",
  unknown: "not known who called",
};

/** Conditions of the export in words, by type and status. */
export const CONDITIONS: Record<string, Record<string, string>> = {
  FlowExportAvailable: {
    True: "Nodes export",
    False: "Nothing is exported",
    Unknown: "Whether anything is exported is not known",
  },
  FlowExportProgressing: { True: "A change is on its way", False: "No change is on its way" },
  FlowExportDegraded: { True: "Something is wrong", False: "Nothing is wrong" },
  FlowExportReceived: {
    True: "What is sent is received",
    False: "Something that is sent is not received",
    Unknown: "Whether all is received is not known",
  },
  Applied: { True: "Applied", False: "Not applied", Unknown: "Whether it is applied is not known" },
  Exporting: { True: "Exporting", False: "Not exporting", Unknown: "Whether it exports is not known" },
  Conflict: { True: "Rows of somebody else are in the way", False: "No rows of others are in the way" },
  SwitchAlive: {
    True: "Open vSwitch runs",
    False: "Open vSwitch does not run",
    Unknown: "Whether Open vSwitch runs is not known",
  },
  Throttled: {
    True: "Held back by its budget",
    False: "Not held back",
    Unknown: "Whether it is to be held back is not known",
  },
  GateRefused: { True: "The gate refused requests", False: "The gate refused nothing" },
};

/** How a node fares. */
export const STANDINGS: Record<string, string> = {
  exporting: "exports",
  fails: "fails",
  behind: "on its way",
  off: "exports nothing",
  none: "no export",
};

/** Settings that a change may be prepared of, by their place in an ExportProfile. */
export const SETTINGS: Array<[string, string]> = [
  ["ipfix.sampling", "IPFIX: one packet in"],
  ["ipfix.cacheActiveTimeout", "IPFIX: seconds until a flow is reported"],
  ["sFlow.sampling", "sFlow: one packet in"],
  ["netFlow.activeTimeout", "NetFlow: seconds until a long flow is reported"],
];

/** Titles of what the export costs. */
export const COSTS: Record<string, string> = {
  vswitchd_millicores: "Millicores",
  datagrams_per_second: "Datagrams/s",
  send_errors_per_second: "Errors/s",
  lost_per_second: "Lost packets/s",
  budget: "Budget",
};

/** What the page Export says. */
export const EXPORT = {
  state: "State",
  noCluster: "This collector takes no names from Kubernetes, so nothing here says how export is asked for.",
  onAHost: "On a host without Kubernetes ask:",
  hidden: "Not told:",
  unread: "Not read:",
  asksFor: "asks for",
  nothing: "nothing to be exported",
  to: "to",
  notRead: "No controller has read it yet: kubectl get pods -n weir-system",
  conditions: "Conditions",
  since: "since",
  whatToDo: "What to do",
  exportingOf: "Nodes that export",
  behind: "On their way",
  fails: "Fail",
  off: "Told to export nothing",
  none: "Without export",
  rollout: "Rollout",
  step: "step",
  nodesHaveIt: "nodes have it",
  awaits: "Somebody has to agree:",
  nodes: "Nodes",
  node: "Node",
  show: "Show",
  allNodes: "all nodes",
  notWell: "those of which not all is well",
  exportNothing: "those that export nothing",
  noNodes: "The controller has made no NodeFlowExport: kubectl get pods -n weir-system",
  noneOfThem: "There is no such node.",
  details: "What to do",
  close: "Close",
  was: "was",
  columns: {
    node: "Node",
    state: "State",
    applied: "Applied",
    exporting: "Exporting",
    conflict: "Conflict",
    protocols: "Protocols",
    reason: "Reason",
    profile: "Profile",
    ovs: "OVS",
    healed: "Drift healed",
    received: "Received",
    lost: "Lost",
  } as Record<string, string>,
  programmed: "Told to export",
  toldNothing: "It is told to export nothing.",
  notInForce: "not in force",
  inForce: "in force",
  receivedHere: "Received here since the collector started",
  nothingReceived: "Nothing of it was received here since the collector started.",
  records: "records",
  lost: "lost",
  unproven: "Its mark came from an address that is not its own",
  toldAt: "Told on",
  itsFlows: "What it exported",
  overTime: "Nodes over time",
  changes: "Changes",
  noChanges: "No change is known.",
  keptWithRollout: "Earlier changes are kept where there is an ExportRollout.",
  revision: "revision",
  by: "by",
  allAfter: "all nodes after",
  around: "Flows around it",
  changed: "Export changed",
  everywhere: "On all nodes",
  prepare: "Prepare a change",
  prepareWhat:
    "The controller's planner says what each node would be told. Nothing is changed here: take the command along.",
  collectorsOf: "Collectors of",
  profile: "ExportProfile of the settings",
  asItIs: "as it is",
  whatWould: "What would it do?",
  forget: "Forget it",
  changesNothing: "No node would be told anything else.",
  wouldBeTold: "nodes would be told something else.",
  skipped: "Skipped",
  oneShouldKnow: "One should know",
  differences: "What would be different",
  moreNodes: "more nodes are not told one by one.",
  steps: "How it would go",
  patchOf: "Patch of",
  copyCommand: "Copy command",
  copyYaml: "Copy YAML",
  fine: "as it should be",
  note: "may be meant",
  fault: "to be mended",
};

/** The views of the page Policies: what each answers. */
export const POLICY_VIEWS: Array<[string, string, string]> = [
  ["", "Coverage", "Which pods are isolated, and what passes by a rule or for want of one."],
  ["rules", "Rules", "Rules that nothing used, that allow more than what used them, and what is odd about policies."],
  ["disagreements", "Disagreements", "What is denied and was answered, and what is allowed and was dropped."],
  ["generate", "Suggest", "Policies that let pass what was seen, and deny the rest. Nothing is applied."],
  ["check", "Replay", "What a change of policies would have done to what was seen. Nothing is applied."],
  ["explain", "Explain", "Whether one may reach the other, and which policy decides."],
];

/** What becomes of traffic: each with a sign, so that none is told by its colour alone. */
export const FATES = {
  by_rule: { sign: "✓", title: "By a rule", means: "A rule of a policy allows it." },
  by_default: { sign: "○", title: "Open", means: "No policy selects the pod: it passes for want of one." },
  denied: { sign: "✕", title: "Denied", means: "The policies deny it." },
  unknown: { sign: "?", title: "Not known", means: "It cannot be told." },
} as const;

/** What policies said of a flow, in a cell of the matrix. */
export const LAYERS: Record<string, { letter: string; title: string }> = {
  deny: { letter: "D", title: "denied by policies" },
  unknown: { letter: "?", title: "not known what policies say" },
  open: { letter: "O", title: "open: no policy decides" },
  allow: { letter: "A", title: "allowed by a policy" },
  "": { letter: "–", title: "not judged" },
};

/** Why policies say what they say (docs/policy-semantics.md). */
export const REASONS: Record<string, string> = {
  rule: "a rule says so",
  isolation: "a policy isolates the pod, and no rule allows it",
  default: "no policy selects the pods",
  node: "the pod's own node",
  self: "the pod itself",
  host: "not of the pod network",
  external: "outside of the cluster",
  direction: "it is not known who called",
  identity: "it is not known who had the address",
  backend: "it is not known which pod of the Service",
  changed: "policies or labels changed meanwhile",
  gap: "nobody watched the policies then",
  protocol: "policies say nothing of the protocol",
  domain: "it is not known whose domain name the address was of",
  order: "policies of one priority disagree",
  foreign: "a policy that is not evaluated selects the pod",
};

/** What a replay came to, by the exit code of `weir policy check`. */
export const CHECKED: Record<number, string> = {
  0: "Nothing that was allowed and answered would be denied.",
  1: "This would break what was seen.",
  3: "Of too much of the traffic it cannot be told.",
};

export const DISAGREEMENTS: Record<string, string> = {
  denied_but_answered: "denied, and answered",
  allowed_but_dropped: "allowed, and dropped",
};

/** Why what was seen is not what policies say (docs/policies.md). */
export const CAUSES: Record<string, string> = {
  older: "began before the policy was there",
  plugin: "another network plugin would allow it",
  not_enforced: "nobody enforces the policy",
  another_firewall: "another firewall drops it",
};

/** What a change of the cluster is done with: the page itself changes nothing. */
export const APPLY = "kubectl apply -f policies.yaml";

/** How a FlowMetric fares. */
export const METRIC_STATES: Record<string, string> = {
  counts: "✓ Counts",
  full: "▲ Counts, but refuses new series",
  before: "▲ Not accepted; what was good before counts",
  refused: "✕ Not accepted",
  waits: "… Not counted yet",
};

/** NetObserv's words for how many values labels take. */
export const CARDINALITIES: Record<string, string> = {
  fine: "Its labels take few values.",
  careful: "Its labels may take many values.",
  avoid: "Its labels take a great many values: avoid it.",
};

/** What a new metric may look like. */
export const METRIC_DRAFT = `apiVersion: flows.netobserv.io/v1alpha1
kind: FlowMetric
metadata:
  name: workload-bytes
spec:
  metricName: workload_bytes_total
  type: Counter
  valueField: Bytes
  labels: [SrcK8S_Namespace, SrcK8S_OwnerName, DstK8S_Namespace]
`;
