// The cluster of the stored flows, as objects: the pods that they name, and policies that
// allow some of what was seen, deny some, and say some that never counts.
import { writeFileSync } from "node:fs";

type Row = Record<string, string>;

const meta = (name: string, namespace: string, labels: object = {}) => ({ name, namespace, labels });

function policy(namespace: string, name: string, spec: object): object {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: meta(name, namespace), spec };
}

function pod(row: Row): object {
  const owner = { apiVersion: "apps/v1", kind: row["workload_kind"], name: row["workload_name"], controller: true };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...meta(row["pod_name"] ?? "", row["ns"] ?? "", { app: row["workload_name"] }),
      ownerReferences: [{ ...owner, uid: `${row["ns"]}-${row["workload_name"]}` }],
    },
    spec: { nodeName: row["node_name"], containers: [{ name: "c", image: "c" }] },
    status: { phase: "Running", podIP: row["addr"], podIPs: [{ ip: row["addr"] }] },
  };
}

/** What keeps these pods, which tells which of their labels last. */
function deployment(row: Row): object {
  const labels = { app: row["workload_name"] };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: meta(row["workload_name"] ?? "", row["ns"] ?? ""),
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels } } },
  };
}

/** The namespace whose policies the tests look at, and another one that may reach it. */
export const ISOLATED = "team-0";
export const ALLOWED = "team-1";

const POLICIES = [
  policy(ISOLATED, "from-others", {
    podSelector: { matchLabels: { app: "workload-0" } },
    policyTypes: ["Ingress"],
    ingress: [
      { from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": ALLOWED } } }] },
      // Nobody is in it, and nothing uses it.
      { from: [{ namespaceSelector: { matchLabels: { team: "nobody" } } }], ports: [{ port: 9 }] },
    ],
  }),
  policy(ISOLATED, "open", { podSelector: { matchLabels: { app: "workload-1" } }, ingress: [{}] }),
];

/** Writes them into a file that the collector looks at. */
export async function writeObjects(url: string, file: string): Promise<void> {
  const group_by = "ns,pod_name,addr,workload_name,workload_kind,node_name";
  const answer = await fetch(`${url}/api/v1/query?since=12h&top=5000&group_by=${group_by}`);
  const { rows } = (await answer.json()) as { rows: Row[] };
  const pods = rows.filter((row) => row["pod_name"] !== "" && row["workload_kind"] === "Deployment");
  const namespaces = [...new Set(pods.map((row) => row["ns"]))];
  const nodes = [...new Set(pods.map((row) => row["node_name"]))];
  const items = [
    ...namespaces.map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    ...nodes.map((name) => ({ apiVersion: "v1", kind: "Node", metadata: { name } })),
    ...pods.map(pod),
    ...new Map(pods.map((row) => [`${row["ns"]}/${row["workload_name"]}`, deployment(row)])).values(),
    ...POLICIES,
  ];
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
}

/** The collector has read the file. */
export async function knowsObjects(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/api/v1/policy/coverage?since=12h&ns=${ISOLATED}`);
  if (!answer.ok) return false;
  const { rows } = (await answer.json()) as { rows: Array<{ ingress: { isolated_pods: number } }> };
  return rows.some((row) => row.ingress.isolated_pods > 0);
}

const metric = (name: string, spec: object) => ({
  apiVersion: "flows.netobserv.io/v1alpha1",
  kind: "FlowMetric",
  metadata: { name, namespace: "netobserv" },
  spec,
});

/** One that counts, and one that is not accepted: documents of YAML. */
export const METRICS = [
  metric("namespaces", { metricName: "namespaces_total", type: "Counter", labels: ["SrcK8S_Namespace"] }),
  metric("wrong", { metricName: "wrong_total", type: "Counter", labels: ["SrcK8S_Namespce"] }),
]
  .map((document) => JSON.stringify(document))
  .join("\n---\n");
