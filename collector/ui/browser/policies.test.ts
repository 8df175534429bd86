// Policies and metrics: what their pages show is what the API says, and nothing is changed.
import { afterAll, expect, test } from "vitest";
import type { CheckAnswer, CoverageAnswer, DisagreementsAnswer, GenerateAnswer } from "../web/types";
import { ALLOWED, ISOLATED } from "./objects";
import { ALL, closeBrowser, opened, path, said, settled, url, visit, weir } from "./page";
import { problem, proxy } from "./proxy";

afterAll(closeBrowser);

const until = new Date();
const TIME = { since: new Date(until.getTime() - 6 * 3_600_000).toISOString(), until: until.toISOString() };
const REFUSED = /Failed to load resource/;

const api = async <T>(page: string, params: Record<string, string>): Promise<T> =>
  (await (await fetch(`${url}/api/v1/${path(page, params)}`)).json()) as T;

/** A policy that lets nobody in but one namespace. */
const CLOSED = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: ${ISOLATED}}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${ALLOWED}}}}]}]
`;

test("coverage has the workloads of the API, those with most open traffic first", async () => {
  const { rows } = await api<CoverageAnswer>("policy/coverage", { ...TIME, ns: ISOLATED });
  await visit(path("policies", { ...TIME, ns: ISOLATED }), {}, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "Workloads" });
    const shown = await grid.locator("tbody tr td:nth-child(2)").allTextContents();
    expect(shown.length).toBeGreaterThan(10);
    expect([...shown].sort()).toEqual(rows.map((row) => row.workload).sort());
    const open = (name: string) => {
      const row = rows.find((one) => one.workload === name);
      return (row?.ingress.by_default.bytes ?? 0) + (row?.egress.by_default.bytes ?? 0);
    };
    expect(shown.map(open)).toEqual(shown.map(open).sort((a, b) => b - a));
    const isolated = rows.reduce((sum, row) => sum + row.ingress.isolated_pods, 0);
    const whole = page.getByRole("region", { name: "How far policies reach" });
    expect(await whole.locator("tbody tr").first().locator("td").first().textContent()).toBe(
      `${isolated} of ${rows.reduce((sum, row) => sum + row.ingress.pods, 0)}`,
    );
  });
});

test("from a workload one comes to policies for it, and from these to their replay", async () => {
  await visit(path("policies", { ...TIME, ns: ISOLATED }), { width: 1500 }, async ({ page }) => {
    await page.getByRole("button", { name: "Workload of row 1", exact: true }).click();
    const side = page.getByRole("complementary", { name: "Workload" });
    const name = (await side.locator("h2").textContent())?.split(" ")[0] ?? "";
    await side.getByRole("link", { name: "Suggest policies" }).click();
    await page.waitForURL(/workload=/);
    expect([said(page, "show"), said(page, "workload")]).toEqual(["generate", name]);
    await settled(page);
    const yaml = await page.getByRole("region", { name: "Policies, YAML" }).textContent();
    const told = await api<GenerateAnswer>("policy/generate", { ...TIME, workload: name });
    expect(yaml).toBe(told.yaml);
    await page.getByRole("button", { name: "Copy YAML" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(told.yaml);
    await page.getByRole("button", { name: "Replay it" }).click();
    await page.waitForURL(/show=check/);
    expect(await page.getByLabel("Policies, as YAML or JSON").inputValue()).toBe(told.yaml);
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText(/Exit code \d/).waitFor();
  });
});

test("what would break stands on top, edge by edge as the API has it", async () => {
  const answer = await fetch(`${url}/api/v1/${path("policy/check", TIME)}`, { method: "POST", body: CLOSED });
  const told = (await answer.json()) as CheckAnswer;
  expect(told.newly_denied.length).toBeGreaterThan(3);
  await visit(path("policies", { ...TIME, show: "check" }), { width: 1500 }, async ({ page, asked }) => {
    await page.getByLabel("Policies, as YAML or JSON").fill(CLOSED);
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText("✕ This would break what was seen.").waitFor();
    const grid = page.getByRole("grid", { name: "Newly denied", exact: true });
    const shown = await grid
      .locator("tbody tr")
      .evaluateAll((rows) =>
        rows.map((row) => [...(row as HTMLTableRowElement).cells].slice(1, 5).map((cell) => cell.textContent)),
      );
    expect(shown).toEqual(told.newly_denied.map(({ client, server, port, why }) => [client, server, port, why]));
    const first = page.locator("main h2").first();
    expect(await first.textContent()).toBe(`Newly denied: ${told.newly_denied.length}`);
    // From an edge to its flows.
    await page.getByRole("button", { name: "Edge of row 1", exact: true }).first().click();
    const side = page.getByRole("complementary", { name: "Edge" });
    await side.getByRole("link", { name: "Flows", exact: true }).click();
    await page.waitForURL(/\/flows\?/);
    await settled(page);
    expect(await page.getByRole("grid", { name: "Records" }).locator("tbody tr").count()).toBeGreaterThan(0);
    expect(asked.filter((address) => address.includes("/policy/check")).length).toBe(1);
  });
});

test("policies that are wrong are told with document, line and place", async () => {
  const wrong = `${CLOSED}---\n${CLOSED.replace("podSelector", "podSelectr")}`;
  await visit(path("policies", { ...TIME, show: "check" }), { quiet: REFUSED }, async ({ page }) => {
    await page.getByLabel("Policies, as YAML or JSON").fill(wrong);
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    const failure = page.getByRole("alert").filter({ hasText: "not understood" });
    await failure.waitFor();
    expect(await failure.getByRole("listitem").first().textContent()).toMatch(
      /^document 2, line \d+, spec.podSelectr: /,
    );
    expect(await failure.getByRole("button", { name: "Ask again" }).count()).toBe(0);
    // What is right again is judged again.
    await page.getByLabel("Policies, as YAML or JSON").fill(CLOSED);
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText("Exit code 1.").waitFor();
    expect(await failure.count()).toBe(0);
  });
});

test("rules and disagreements are those of the command line's page", async () => {
  const told = await api<DisagreementsAnswer>("policy/disagreements", { ...TIME, ns: ISOLATED });
  expect(told.rows.length).toBeGreaterThan(0);
  await visit(path("policies", { ...TIME, ns: ISOLATED, show: "disagreements" }), {}, async ({ page }) => {
    const rows = page.getByRole("grid", { name: "Disagreements" }).locator("tbody tr");
    expect(await rows.count()).toBe(told.rows.length);
    expect(await page.getByRole("grid", { name: "Not enforced" }).locator("tbody tr").count()).toBe(
      told.not_enforced.length,
    );
    await page.getByRole("link", { name: "Rules", exact: true }).click();
    await page.waitForURL(/show=rules/);
    await settled(page);
    await page.getByRole("grid", { name: "Unused rules" }).waitFor();
    expect(
      await page.getByRole("grid", { name: "Unused rules" }).locator("tbody tr td:first-child").allTextContents(),
    ).toEqual([`${ISOLATED}/from-others ingress[1]`]);
    expect(await page.getByText("Nothing is odd about the policies.").count()).toBe(1);
  });
});

test("it is explained who may reach whom, and a link says it again", async () => {
  const asked = { src: `${ALLOWED}/deployment/workload-30`, dst: `${ISOLATED}/deployment/workload-0`, port: "443" };
  await visit(path("policies", { show: "explain" }), {}, async ({ page, context }) => {
    await page.getByLabel("Who calls").fill(asked.src);
    await page.getByLabel("Whom").fill(asked.dst);
    await page.getByLabel("On which port").fill(asked.port);
    await page.getByRole("button", { name: "Explain" }).click();
    await page.waitForURL(/src=/);
    await settled(page);
    await page.getByRole("heading", { name: "✓ Allowed: a rule says so" }).waitFor();
    const other = await context.newPage();
    await other.goto(page.url());
    await other.getByRole("heading", { name: "✓ Allowed: a rule says so" }).waitFor();
    expect(await other.getByLabel("Whom").inputValue()).toBe(asked.dst);
  });
});

test("from a record one comes to what policies say of its ends", async () => {
  const filter = `ns == "${ALLOWED}" && dst_ns == "${ISOLATED}" && server == "dst"`;
  await visit(path("flows", { ...TIME, filter }), { width: 1500 }, async ({ page }) => {
    await page.getByRole("button", { name: "Record of row 1", exact: true }).click();
    await page.getByRole("link", { name: "What policies say" }).click();
    await page.waitForURL(/show=explain/);
    expect(said(page, "dst")).toContain(`${ISOLATED}/`);
    await settled(page);
    await page.getByRole("heading", { name: /Allowed|Denied/ }).waitFor();
  });
});

test("a verdict leads to the flows of which it was said", async () => {
  const told = weir(
    "flows",
    'policy_verdict == "deny" && policy_reason == "isolation"',
    "--since",
    TIME.since,
    "--until",
    TIME.until,
    "--group-by",
    "policy_verdict",
  ) as {
    totals: Record<string, number>;
  };
  await visit(path("policies", TIME), {}, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "Verdicts" });
    const row = grid.getByRole("row").filter({ hasText: "isolates" });
    expect((await row.locator("td.number").first().getAttribute("title"))?.replaceAll(",", "")).toBe(
      String(told.totals["flows"]),
    );
    await row.getByRole("link", { name: "deny" }).click();
    await page.waitForURL(/\/flows\?/);
    expect(said(page, "filter")).toBe('policy_verdict == "deny" && policy_reason == "isolation"');
    await settled(page);
    const quick = page.getByRole("button", { name: "Denied by policy" });
    expect(await quick.getAttribute("aria-pressed")).toBe("true");
  });
});

test("a matrix tells in letters what policies said, and in words in its table", async () => {
  await visit(path("matrix", { ...TIME, by: "ns", colour: "policy" }), { width: 1500 }, async ({ page }) => {
    const told = (server: string) =>
      weir(
        "flows",
        `ns == "team-1" && dst_ns == "${server}" && server == "dst"`,
        "--since",
        TIME.since,
        "--until",
        TIME.until,
        "--group-by",
        "policy_verdict",
      ) as {
        rows: Array<Record<string, string>>;
      };
    for (const [server, letter, words] of [
      ["team-0", "D", "denied by policies"],
      ["team-1", "A", "allowed by a policy"],
      ["team-2", "O", "open: no policy decides"],
      ["team-3", "?", "not known what policies say"],
    ] as const) {
      const cell = page.getByRole("button", { name: new RegExp(`^team-1 to ${server}: .*${words}`) });
      expect(await cell.textContent(), server).toBe(letter);
      expect(told(server).rows.length, server).toBe(1);
    }
    await page.getByRole("button", { name: "As a table" }).click();
    await settled(page);
    const row = page.getByRole("grid", { name: "Edges" }).getByRole("row").filter({ hasText: "denied by policies" });
    expect(await row.count()).toBeGreaterThan(0);
  });
});

test("where it is not known which policies there are, that is said, and what helps", async () => {
  const between = await proxy(url, "", (from, to) => {
    const isPolicy = from.url?.startsWith("/api/v1/policy/") ?? false;
    return isPolicy && problem(to, 503, "no-policies", "the collector needs names from Kubernetes, or --policies FILE");
  });
  await visit(`policies?${ALL}`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    const failure = page.getByRole("alert").filter({ hasText: "not known which policies there are" });
    expect(await failure.textContent()).toContain("--policies FILE");
    // What flows say of policies stays.
    expect(await page.getByRole("grid", { name: "Verdicts" }).count()).toBe(1);
  });
  await between.close();
});

test("who sees some namespaces is told that it is not all, and offered only these", async () => {
  const known = (await (await fetch(`${url}/api/v1/me`)).json()) as object;
  const ann = { ...known, name: "ann", known_by: "token", sees_everything: false, namespaces: [ISOLATED] };
  const note = { kind: "hidden", message: "names and rules of policies are told where you may get networkpolicies" };
  const between = await proxy(url, "", (from, to) => {
    const answer = (told: object) => {
      to.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(told));
      return true;
    };
    if (from.url?.startsWith("/api/v1/me")) return answer(ann);
    if (from.url?.startsWith("/api/v1/policy/lint")) return answer({ rows: [], notes: [note] });
    if (from.url?.startsWith("/api/v1/flow-metrics"))
      return problem(to, 403, "forbidden", "it is for those who may get /flow-metrics");
    return false;
  });
  await visit(`policies?${ALL}&show=rules`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    await page.getByText("where you may get networkpolicies").first().waitFor();
    expect(
      await page
        .locator("#policy-namespaces option")
        .evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value)),
    ).toEqual([ISOLATED]);
    await page.getByRole("link", { name: "Metrics", exact: true }).click();
    await page.getByText("You may not see this.").waitFor();
    expect(await page.getByRole("button", { name: "Estimate" }).count()).toBe(0);
    await page.getByText("The estimate is for those who may get pods in all namespaces").waitFor();
  });
  await between.close();
});

test("metrics are told with what is wrong, and a new one with its series before it exists", async () => {
  await visit("flowmetrics", { width: 1500 }, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "FlowMetrics" });
    const rows = grid.locator("tbody tr");
    await rows.filter({ hasText: "netobserv/wrong" }).getByRole("button").click();
    const side = page.getByRole("complementary", { name: "FlowMetric" });
    expect(await side.textContent()).toContain("SrcK8S_Namespace?");
    await rows.filter({ hasText: "netobserv_namespaces_total" }).getByRole("button").click();
    expect(await side.locator("code").first().textContent()).toBe("sum(rate(netobserv_namespaces_total[5m]))");
    const text = page.getByLabel("FlowMetric, as YAML or JSON");
    const draft = await text.inputValue();
    const told = (await (
      await fetch(`${url}/api/v1/flow-metrics/estimate`, {
        method: "POST",
        body: draft,
        headers: { "content-type": "application/yaml" },
      })
    ).json()) as { estimate: { series: number; message: string } };
    await page.getByRole("button", { name: "Estimate" }).click();
    await page.getByText("✓ It would count as netobserv_workload_bytes_total.").waitFor();
    expect(told.estimate.series).toBeGreaterThan(3);
    await page.getByText(told.estimate.message).waitFor();
    await text.fill(draft.replace("Counter", "Countr"));
    await page.getByRole("button", { name: "Estimate" }).click();
    await page.getByText("✕ It would not count.").waitFor();
    expect(await page.getByRole("region", { name: "New" }).getByRole("listitem").first().textContent()).toContain(
      "spec.type: unknown variant `Countr`",
    );
  });
});

test("nothing that the pages of policies and metrics send changes anything", async () => {
  const { page, asked, close } = await opened(`policies?${ALL}&ns=${ISOLATED}`);
  const methods = new Set<string>();
  page.on("request", (request) => methods.add(`${request.method()} ${new URL(request.url()).pathname}`));
  for (const view of ["Rules", "Disagreements", "Suggest", "Replay", "Explain", "Coverage"]) {
    await page.getByRole("navigation", { name: "Views of policies" }).getByRole("link", { name: view }).click();
    await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
  }
  expect([...methods].filter((one) => !one.startsWith("GET "))).toEqual([]);
  expect(asked.length).toBeGreaterThan(5);
  await close();
});
