// The page Export, and what other pages tell of the export: beside a collector of a cluster of
// three nodes, of which one fails and one has no export. What is expected is asked of the API
// and of `weir`.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContext } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { ExportsAnswer, Prepared } from "../web/types";
import { type Cluster, cluster } from "./cluster";
import { closeBrowser, faults, type Look, path, said, settled, visit } from "./page";

const shots = process.env["SCREENSHOTS"];
const AT = new Date(Date.now() - 1_200_000).toISOString().replace(/\.\d+Z/, "Z");
const DONE = new Date(Date.now() - 900_000).toISOString().replace(/\.\d+Z/, "Z");
const condition = (type: string, status: string, reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: AT,
});
const revision = (number: number, hash: string, sampling: number, annotations: object) => ({
  metadata: { name: `weir-export-${hash}`, creationTimestamp: AT, annotations, labels: { "weir.dev/revision": hash } },
  revision: number,
  data: { flows: { ipfix: { collectors: ["192.0.2.1:4739"] } }, profiles: { tuned: { ipfix: { sampling } } } },
});
const spec = (exporterId: number) => ({
  profile: "tuned",
  bridges: [{ name: "br-int", exporterId, ipfix: { targets: ["192.0.2.1:4739"], sampling: 400 } }],
});
const node = (name: string, last: number) => ({
  metadata: { name, labels: {} },
  status: { addresses: [{ type: "InternalIP", address: `10.0.0.${last}` }] },
});

const OBJECTS = {
  "/api/v1/nodes": [node("node-a", 1), node("node-b", 2), node("node-c", 3)],
  "/apis/operator.openshift.io/v1/networks/cluster": {
    apiVersion: "operator.openshift.io/v1",
    kind: "Network",
    metadata: { name: "cluster" },
    spec: { exportNetworkFlows: { ipfix: { collectors: ["192.0.2.1:4739"] } } },
    status: {
      conditions: [
        condition("FlowExportAvailable", "True", "Exporting", "1 of 2 nodes export"),
        condition("FlowExportProgressing", "False", "UpToDate", ""),
        condition("FlowExportDegraded", "True", "NodesFailing", "1 node fails: node-b OvsdbUnreachable"),
      ],
    },
  },
  "/apis/weir.dev/v1alpha1/exportprofiles": [{ metadata: { name: "tuned" }, spec: { ipfix: { sampling: 400 } } }],
  "/apis/weir.dev/v1alpha1/exportrollouts/cluster": {
    metadata: { name: "cluster" },
    spec: {},
    status: { phase: "Completed", revision: "bb", completedRevision: "bb", releasedNodes: 2, totalNodes: 2 },
  },
  "/apis/apps/v1/namespaces/weir-system/controllerrevisions": [
    revision(1, "aa", 800, {}),
    revision(2, "bb", 400, { "weir.dev/completed": DONE }),
  ],
  "/apis/weir.dev/v1alpha1/nodeflowexports": [
    {
      metadata: { name: "node-a", generation: 2, creationTimestamp: AT },
      spec: spec(1),
      status: {
        observedGeneration: 2,
        protocols: "IPFIX",
        reason: "Applied",
        ovsVersion: "3.3.1",
        driftHealed: 4,
        cost: { vswitchdMillicores: 40, datagramsPerSecond: 12, before: { vswitchdMillicores: 10 } },
        bridges: [{ name: "br-int", present: true, ipfix: { targets: ["192.0.2.1:4739"], sampling: 400 } }],
        conditions: [condition("Applied", "True", "Applied", ""), condition("Exporting", "True", "Exporting", "")],
      },
    },
    {
      metadata: { name: "node-b", generation: 1, creationTimestamp: AT },
      spec: spec(2),
      status: {
        observedGeneration: 1,
        reason: "OvsdbUnreachable",
        conditions: [
          condition("Applied", "False", "OvsdbUnreachable", "db.sock: Permission denied"),
          condition("Exporting", "Unknown", "OvsdbUnreachable", "db.sock: Permission denied"),
        ],
      },
    },
  ],
};

let of: Cluster;
beforeAll(async () => {
  of = await cluster(OBJECTS, (user, resource) => user === "ann" && resource === "pods");
});
afterAll(async () => {
  await closeBrowser();
  await of.close();
  // Whatever was looked at and prepared: nothing was written.
  expect(of.writes).toEqual([]);
});

const as = (user: string, look: Look = {}): Look => ({
  ...look,
  base: of.url,
  setup: (context: BrowserContext) =>
    context.addInitScript((token) => sessionStorage.setItem("weir-token", token), `${user}-token`),
});

const api = async <T>(page: string): Promise<T> => {
  const answer = await fetch(`${of.url}/api/v1/${page}`, { headers: { authorization: "Bearer root-token" } });
  return (await answer.json()) as T;
};

/** What the command line says; what is wrong is its exit code. The API server is in this process, so it waits for nothing. */
async function weir<T>(...words: string[]): Promise<T> {
  const asked = promisify(execFile)(inject("weir"), [...words, "--kubeconfig", of.kubeconfig, "-o", "json"]);
  const { stdout } = await asked.catch((error: { stdout: string }) => error);
  return JSON.parse(stdout) as T;
}

for (const theme of ["light", "dark"] as const) {
  test(`with conditions, a failing node and a change in preparation it has no fault that axe knows in ${theme}`, async () => {
    const address = path("export", { sel: "node-b", set: "ipfix.sampling:100" });
    await visit(address, as("root", { theme }), async ({ page }) => {
      await page.getByRole("complementary", { name: "Node node-b" }).waitFor();
      if (shots) await page.screenshot({ path: join(shots, `export-cluster-${theme}.png`), fullPage: true });
      expect(await page.locator(".failure").count()).toBe(0);
      expect(await faults(page)).toEqual([]);
    });
  });
}

// What docs/ui.md shows.
test.skipIf(!shots)("pictures for the documents", async () => {
  for (const [name, address] of [
    ["ui-export", path("export", { sel: "node-b" })],
    ["overview-marks", "overview?since=1h"],
  ] as const)
    await visit(address, as("root", { width: 1100, height: 800 }), async ({ page }) => {
      if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
    });
});

test("all of it is read on 320 pixels without scrolling sideways", async () => {
  const address = path("export", { sel: "node-b", ipfix: "192.0.2.1:4739,192.0.2.2:4739" });
  await visit(address, as("root", { width: 320, height: 800 }), async ({ page }) => {
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(320);
  });
});

test("conditions stand in words with what to do, as the command line has them", async () => {
  const status = await weir<{ conditions: Array<{ message: string }>; nodes: Array<{ name: string }> }>("status");
  const told = await api<ExportsAnswer>("exports");
  expect(status.conditions.length).toBe(told.source?.conditions.length);
  await visit("export", as("root"), async ({ page }) => {
    const list = page.getByRole("list", { name: "Conditions" });
    for (const { message } of status.conditions) if (message) await list.getByText(message, { exact: true }).waitFor();
    const degraded = list.getByRole("listitem").filter({ hasText: "Something is wrong" });
    const remedy = told.source?.conditions.find(({ type }) => type === "FlowExportDegraded")?.remedy ?? "none";
    await degraded.getByText(remedy).waitFor();
    const grid = page.getByRole("grid", { name: "Nodes" });
    for (const { name } of status.nodes) await grid.getByRole("gridcell", { name, exact: true }).waitFor();
    expect(await grid.getAttribute("aria-rowcount")).toBe(String((told.nodes?.length ?? 0) + 1));
    await grid.getByRole("gridcell", { name: "node-c", exact: true }).waitFor();
  });
});

test("what a node costs is what weir cost says, with what it was before", async () => {
  type Cost = { name: string; cost?: { vswitchdMillicores: number; before: { vswitchdMillicores: number } } };
  const cost = (await weir<Cost[]>("cost")).find(({ name }) => name === "node-a")?.cost;
  await visit("export", as("root"), async ({ page }) => {
    const row = page.getByRole("grid", { name: "Nodes" }).getByRole("row").filter({ hasText: "node-a" });
    await row.getByText(`${cost?.vswitchdMillicores} (was ${cost?.before.vswitchdMillicores})`).waitFor();
  });
});

test("a node is opened by keys, its remedy read, and the address brings both back", async () => {
  await visit("export", as("root"), async ({ page }) => {
    const grid = page.getByRole("grid", { name: "Nodes" });
    await grid.getByRole("button", { name: "What to do of row 1" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL((address) => address.searchParams.get("sel") === "node-b");
    const side = page.getByRole("complementary", { name: "Node node-b" });
    await side
      .getByText(/runAsUser/)
      .first()
      .waitFor();
    await side.getByText("not in force").waitFor();
    await page.reload();
    await side.waitFor();
    await page.getByLabel("Show").selectOption("wrong");
    expect(said(page, "show")).toBe("wrong");
    expect(await grid.getAttribute("aria-rowcount")).toBe("3");
    await page.goBack();
    expect(said(page, "show")).toBe(null);
  });
});

test("a change is prepared by the planner, and its command is taken along", async () => {
  await visit("export", as("root"), async ({ page, context }) => {
    await page.getByLabel("Collectors of IPFIX").fill("192.0.2.1:4739, :4739, nonsense");
    await page.getByLabel("IPFIX: one packet in").fill("100");
    await page.keyboard.press("Enter");
    await page.waitForURL((address) => address.searchParams.get("set") === "ipfix.sampling:100");
    await settled(page);
    const query = new URL(page.url()).searchParams;
    const asks = `ipfix=${encodeURIComponent(query.get("ipfix") ?? "")}&set=ipfix.sampling:100`;
    const prepared = await api<Prepared>(`exports/plan?${asks}`);
    expect(prepared.changed).toBe(3);
    const section = page.getByRole("region", { name: "Prepare a change" });
    await section.getByText(`${prepared.changed} of ${prepared.total} nodes would be told something else.`).waitFor();
    for (const line of [...prepared.problems, ...prepared.warnings, ...prepared.steps])
      await section.getByText(line, { exact: true }).waitFor();
    for (const { command } of prepared.documents) {
      const at = prepared.documents.findIndex((one) => one.command === command);
      await section.getByRole("button", { name: "Copy command" }).nth(at).click();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(command);
    }
    expect(context.pages().length).toBe(1);
    await section.getByRole("button", { name: "Forget it" }).click();
    expect(said(page, "ipfix")).toBe(null);
  });
});

test("changes are told with what was different, and are marks in the charts of their time", async () => {
  await visit("export", as("root"), async ({ page }) => {
    const changes = page.getByRole("region", { name: "Changes" });
    await changes.getByText("profile tuned.ipfix.sampling 800 → 400").waitFor();
    await changes.getByText(/all nodes after 5/).waitFor();
    await changes.getByRole("link", { name: "Flows around it" }).first().click();
    await page.waitForURL(/\/overview\?/);
    await settled(page);
    const marks = page.getByRole("list", { name: "Changes within Rate" });
    await marks.getByText(/Export changed: profile tuned.ipfix.sampling 800 → 400/).waitFor();
    await marks.getByText(/On all nodes: /).waitFor();
  });
});

test("nodes of which nothing came have a row on Nodes, which leads to why", async () => {
  await visit("nodes?since=6h", as("root"), async ({ page }) => {
    await page.getByRole("link", { name: "node-c", exact: true }).click();
    await page
      .getByRole("complementary", { name: "Node node-c" })
      .getByText(/no NodeFlowExport/)
      .waitFor();
  });
});

test("who may not read the objects sees no name of a node, and which right would help", async () => {
  await visit("export", as("ann"), async ({ page }) => {
    await page
      .getByText(/list nodeflowexports.weir.dev/)
      .first()
      .waitFor();
    expect(await page.locator("main").textContent()).not.toContain("node-");
    expect(await page.getByRole("form").count()).toBe(0);
    expect(await faults(page)).toEqual([]);
  });
});

test("without a cluster the page says so, and asks nothing", async () => {
  await visit("export", {}, async ({ page, asked }) => {
    await page.getByText(/takes no names from Kubernetes/).waitFor();
    expect(asked.some((address) => address.includes("/exports"))).toBe(false);
  });
});
