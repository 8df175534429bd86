// What the pages show is what the command line says to the same question.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, expect, inject, test } from "vitest";
import { join, terms } from "../web/cel";
import { visible } from "../web/format";
import { closeBrowser, opened, path, said, settled, url, visit, weir, weirLines } from "./page";

afterAll(closeBrowser);

type Sums = { rows: Array<Record<string, string | number>>; totals: Record<string, number>; groups: number };

/** The same range for both: nothing new comes, but what is old expires. */
const until = new Date();
const TIME = { since: new Date(until.getTime() - 6 * 3_600_000).toISOString(), until: until.toISOString() };
const OF = ["--since", TIME.since, "--until", TIME.until];

/** What is not known is a dash. */
const shownAs = (value: string | number | undefined) => (value === "" ? "–" : visible(String(value)));

/** Cells of a table, exact values where there are hints. */
const cells = (page: Page, label: string) =>
  page
    .getByRole("grid", { name: label })
    .evaluate((table) =>
      [...(table as HTMLTableElement).tBodies[0]!.rows].map((row) =>
        [...row.cells].map((cell) =>
          cell.classList.contains("number") ? cell.title.replaceAll(",", "") : cell.textContent,
        ),
      ),
    );

test("groups are those of the command line, in its order", async () => {
  const asked = { ...TIME, group_by: "ns,dst_ns", by: "packets", top: "50" };
  const told = weir("flows", ...OF, "--group-by", "ns,dst_ns", "--by", "packets", "--top", "50") as Sums;
  await visit(path("flows", asked), {}, async ({ page }) => {
    const shown = await cells(page, "Groups");
    expect(shown.length).toBeGreaterThan(4);
    expect(shown.map((row) => row.slice(1))).toEqual(
      told.rows.map((row) => ["ns", "dst_ns", "bytes", "packets", "flows"].map((name) => shownAs(row[name]))),
    );
    await expect(page.getByText(`${told.groups} groups`).count()).resolves.toBe(1);
  });
});

test("conversations and comparisons are those of the command line", async () => {
  const told = weir(
    "flows",
    ...OF,
    "--group-by",
    "ns,dst_ns",
    "--conversation",
    "--by",
    "sent",
    "--compare",
    "previous",
    "--measures",
    "sent,received,flows",
  ) as Sums;
  await visit(
    path("flows", { ...TIME, group_by: "ns,dst_ns", conversation: "true", compare: "previous", top: "20" }),
    {},
    async ({ page }) => {
      const shown = await cells(page, "Groups");
      const heads = await page.getByRole("grid", { name: "Groups" }).getByRole("columnheader").allTextContents();
      for (const [title, name] of [
        ["Sent ▾", "sent"],
        ["Received", "received"],
        ["Sent, then", "sent_then"],
      ]) {
        expect(shown.map((row) => row[heads.indexOf(title ?? "")])).toEqual(
          told.rows.map((row) => String(row[name ?? ""])),
        );
      }
    },
  );
});

test("the chart has what was then, too, where one compares", async () => {
  const told = weir(
    "flows",
    ...OF,
    "--bucket",
    "2m",
    "--compare",
    "1h",
    "--measures",
    "byte_rate",
    "--by",
    "byte_rate",
  ) as Sums;
  await visit(path("flows", { ...TIME, group_by: "ns", compare: "1h" }), {}, async ({ page }) => {
    expect(await page.locator("path.then").count()).toBe(1);
    const chart = page.getByRole("application", { name: /^Rate/ });
    await chart.focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    const shown = await page.locator("main .told").first().textContent();
    const row = told.rows.at(-2);
    const then = Number(row?.["byte_rate_then"]) * 8;
    expect(then).toBeGreaterThan(100_000);
    expect(shown).toContain(`; then ${(then / (then >= 1e6 ? 1e6 : 1e3)).toFixed(1)} ${then >= 1e6 ? "M" : "k"}bit/s`);
  });
});

test("the overview's sums are all that there is", async () => {
  const told = weir(
    "flows",
    ...OF,
    "--group-by",
    "verdict",
    "--measures",
    "bytes,packets,flows,dropped_packets",
  ) as Sums;
  await visit(path("overview", TIME), {}, async ({ page }) => {
    const titles = await page
      .locator("main .figures")
      .first()
      .locator("dd")
      .evaluateAll((all) => all.map((one) => one.getAttribute("title")?.replaceAll(",", "")));
    expect([titles[0], titles[2], titles[3], titles[4]]).toEqual(
      ["bytes", "packets", "flows", "dropped_packets"].map((name) => String(told.totals[name])),
    );
  });
});

test("the overview tells how much more it is than then", async () => {
  const told = weir("flows", ...OF, "--group-by", "verdict", "--measures", "bytes", "--compare", "1h") as Sums;
  await visit(path("overview", { ...TIME, compare: "1h" }), {}, async ({ page }) => {
    const part = (100 * (told.totals["bytes_change"] ?? 0)) / (told.totals["bytes_then"] ?? 1);
    expect(part).toBeGreaterThan(0);
    expect(await page.locator("main .figures .change").first().textContent()).toBe(`+${part.toFixed(1)} %`);
  });
});

test("a record's page is what the API has, oldest and largest first, too", async () => {
  for (const order of ["", "oldest", "bytes"]) {
    const told = weirLines(
      "flows",
      ...OF,
      "--limit",
      "100",
      "--columns",
      "bytes",
      ...(order ? ["--order", order] : []),
    );
    await visit(
      path("flows", { ...TIME, columns: "time,bytes", ...(order ? { order } : {}) }),
      {},
      async ({ page }) => {
        expect((await cells(page, "Records")).map((row) => row[2])).toEqual(told.map((row) => String(row["bytes"])));
      },
    );
  }
});

test("more records go on where the page ended, none twice and none missing", async () => {
  const told = weirLines("flows", ...OF, "--limit", "300", "--columns", "bytes");
  await visit(path("flows", { ...TIME, columns: "time,bytes" }), {}, async ({ page }) => {
    for (const rows of [200, 300]) {
      await page.getByRole("button", { name: "Show 100 more" }).click();
      await page.getByText(`${rows} records`).waitFor();
    }
    expect((await cells(page, "Records")).map((row) => row[2])).toEqual(told.map((row) => String(row["bytes"])));
  });
});

test("a cell of the matrix is the edge that the command line tells", async () => {
  const { rows } = weir("matrix", ...OF, "--by", "ns", "--limit", "5") as {
    rows: Array<Record<string, string | number>>;
  };
  const [edge] = rows;
  await visit(path("matrix", { ...TIME, by: "ns" }), { width: 1500 }, async ({ page }) => {
    const cell = page.getByRole("button", { name: new RegExp(`^${edge?.["ns"]} to ${edge?.["dst_ns"]}: `) });
    await cell.click();
    const side = page.getByRole("complementary", { name: "Client and server" });
    await side.getByText(/\d+ ports?$/).waitFor();
    const ports = weir(
      "matrix",
      `ns == "${edge?.["ns"]}" && dst_ns == "${edge?.["dst_ns"]}"`,
      ...OF,
      "--by",
      "ns",
      "--ports",
      "--direction",
      "out",
    ) as { rows: unknown[] };
    expect(await side.locator("tbody tr").count()).toBe(ports.rows.length);
    await page.getByRole("button", { name: "As a table" }).click();
    await settled(page);
    expect((await cells(page, "Edges")).length).toBeGreaterThan(0);
  });
});

test("an edge of the topology is what the command line tells of the pair", async () => {
  const told = weir("flows", ...OF, "--group-by", "ns,dst_ns", "--top", "600") as Sums;
  await visit(path("topology", TIME), { width: 1500 }, async ({ page }) => {
    const peer = page.getByRole("button", { name: /^team-1: / });
    await peer.focus();
    await page.keyboard.press("Enter");
    const side = page.getByRole("complementary", { name: "Peer" });
    const sent = told.rows.filter((row) => row["ns"] === "team-1").reduce((sum, row) => sum + Number(row["bytes"]), 0);
    await side.locator("dd[title]").nth(1).waitFor();
    expect(await side.locator("dd").first().getAttribute("title")).toBe(String(sent).replace(/\B(?=(\d{3})+$)/g, ","));
    await page.keyboard.press("ArrowRight");
    expect(await page.evaluate(() => document.activeElement?.classList.contains("peer"))).toBe(true);
    await side.getByRole("link", { name: "Step in: workloads" }).click();
    await settled(page);
    expect([said(page, "filter"), said(page, "show")]).toEqual([
      '(ns == "team-1") || (dst_ns == "team-1")',
      "workload",
    ]);
    await page.getByRole("button", { name: "As a table" }).click();
    await settled(page);
    expect(await page.getByRole("grid", { name: "Edges" }).locator("tbody tr").count()).toBeGreaterThan(5);
  });
});

test("what a peer sent and received is all that it did, not what is drawn", async () => {
  await visit(path("topology", { ...TIME, show: "pod" }), { width: 1500 }, async ({ page }) => {
    const peer = page.locator(".peer").nth(40);
    const name = (await peer.getAttribute("aria-label"))?.split(":")[0] ?? "";
    const [ns, pod] = name.split("/");
    await peer.focus();
    await page.keyboard.press("Enter");
    const side = page.getByRole("complementary", { name: "Peer" });
    for (const [at, filter] of [
      `ns == "${ns}" && pod_name == "${pod}"`,
      `dst_ns == "${ns}" && dst_pod_name == "${pod}"`,
    ].entries()) {
      const told = weir("flows", filter, ...OF, "--group-by", "verdict") as Sums;
      const shown = side.locator("dl.pairs dd").nth(at);
      await page.waitForFunction((element) => element?.textContent !== "…", await shown.elementHandle());
      expect((await shown.getAttribute("title"))?.replaceAll(",", "")).toBe(String(told.totals["bytes"]));
    }
  });
});

test("a cell's ports are of the filter, whichever end it means", async () => {
  const told = weir("matrix", "dst_port == 443", ...OF, "--by", "ns", "--direction", "in") as {
    rows: Array<Record<string, string | number>>;
  };
  const [edge] = told.rows;
  await visit(
    path("matrix", { ...TIME, by: "ns", direction: "in", filter: "dst_port == 443" }),
    { width: 1500 },
    async ({ page }) => {
      await page.getByRole("button", { name: new RegExp(`^${edge?.["ns"]} to ${edge?.["dst_ns"]}: `) }).click();
      const side = page.getByRole("complementary", { name: "Client and server" });
      await side.getByText("1 port", { exact: true }).waitFor();
      expect(await side.locator("tbody tr").first().locator("td").first().textContent()).toBe("443");
    },
  );
});

test("what is joined with a filter keeps its meaning, as the collector reads it", async () => {
  const flows = async (filter: string) => {
    const asked = new URLSearchParams({ ...TIME, filter, measures: "flows,bytes", top: "1" });
    const told = (await (await fetch(`${url}/api/v1/query?${asked}`)).json()) as Sums;
    expect(told.totals, filter).toBeDefined();
    return told.totals;
  };
  const filters = [
    'ns == "team-0" // mine',
    'ns == "team-0" // a || b\n|| dst_ns == "team-1"',
    "ns == r'\\' || ns == 'team-1'",
    'ns == """team-2"""',
    'dst_port == 443 ? ns == "team-0" : ns == "team-1"',
    'dst_ns == "team-0" && (zone == dst_zone || proto == 17)',
  ];
  for (const filter of filters) {
    for (const other of ["dst_port == 443", 'dst_port == 443 || verdict == "dropped"']) {
      const [joined, meant] = await Promise.all([
        flows(join([...terms(filter), other])),
        flows(`(${filter}\n) && (${other})`),
      ]);
      expect(joined, filter).toEqual(meant);
      expect(joined["flows"], filter).toBeGreaterThan(0);
    }
  }
});

test("a cell of the nodes' heat is what the node exported then", async () => {
  const told = weir(
    "flows",
    ...OF,
    "--group-by",
    "exporter_node",
    "--bucket",
    "10m",
    "--all-observations",
    "--by",
    "flows",
    "--top",
    "250",
    "--utc",
  ) as Sums;
  await visit(path("nodes", { ...TIME, by: "flows" }), {}, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "What each node exported" });
    const row = told.rows.findLast((row) => row["exporter_node"] !== "");
    const at = String(row?.["time"]).slice(0, 19).replace("T", " ");
    const name = await grid
      .getByRole("button", { name: `${row?.["exporter_node"]}, ${at} to` })
      .getAttribute("aria-label");
    expect(name?.endsWith(`: ${row?.["flows"]}`)).toBe(true);
    await grid.getByRole("button", { name: `${row?.["exporter_node"]}, ${at} to` }).click();
    await page.waitForURL(/flows\?/);
    await settled(page);
    expect(said(page, "filter")).toBe(`exporter_node == "${row?.["exporter_node"]}"`);
  });
});

test("the status is what the collector tells", async () => {
  const { store } = (await (await fetch(`${url}/api/v1/status`)).json()) as {
    store: { tiers: Array<{ tier: string; segments: number; rows: number; bytes: number }> };
  };
  await visit("status", {}, async ({ page }) => {
    const shown = await cells(page, "Tiers");
    expect(shown.length).toBeGreaterThan(3);
    expect(shown.map((row) => row.slice(0, 4))).toEqual(
      store.tiers.map((tier) => [tier.tier, String(tier.segments), String(tier.rows), String(tier.bytes)]),
    );
  });
});

test("a command that is copied prints the same groups, whatever stands in the filter", async () => {
  const filter = `ns != "it's \\"x\\" $HOME" && dst_port == 443`;
  await visit(path("flows", { ...TIME, filter, group_by: "ns" }), {}, async ({ page }) => {
    const shown = await cells(page, "Groups");
    await page.locator("main").getByRole("button", { name: "Out" }).click();
    await page.getByRole("menuitem", { name: "Copy command" }).click();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const told = JSON.parse(
      execFileSync("sh", ["-c", `${command} --server ${url} -o json`], {
        env: { ...process.env, PATH: `${dirname(inject("weir"))}:${process.env["PATH"]}`, KUBECONFIG: "/nonexistent" },
      }).toString(),
    ) as Sums;
    expect(shown.map((row) => [row[1], row[2]])).toEqual(
      told.rows.map((row) => [shownAs(row["ns"]), shownAs(row["bytes"])]),
    );
  });
});

test("what is saved as CSV is what the command line writes", async () => {
  const told = execFileSync(
    inject("weir"),
    ["flows", ...OF, "--group-by", "ns,dst_ns", "--top", "50", "--server", url, "-o", "csv"],
    {
      env: { ...process.env, KUBECONFIG: "/nonexistent" },
    },
  ).toString();
  await visit(path("flows", { ...TIME, group_by: "ns,dst_ns" }), {}, async ({ page }) => {
    const download = page.waitForEvent("download");
    await page.locator("main").getByRole("button", { name: "Out" }).click();
    await page.getByRole("menuitem", { name: "Save what is shown as CSV" }).click();
    const saved = readFileSync(await (await download).path()).toString();
    expect(saved.replaceAll("\r\n", "\n")).toBe(told.replaceAll("\r\n", "\n"));
  });
});

test("only this value and not this value ask for as many as the command line counts", async () => {
  await visit(path("flows", { ...TIME, group_by: "dst_port" }), {}, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "Groups" });
    const value = await grid.locator("tbody td.value").first().textContent();
    await grid.locator("tbody td.value").first().click();
    await page.getByRole("menuitem", { name: "Not this" }).click();
    await page.waitForURL(/filter=/);
    expect(said(page, "filter")).toBe(`!(dst_port == ${value})`);
    await settled(page);
    const told = weir("flows", `!(dst_port == ${value})`, ...OF, "--group-by", "dst_port") as Sums;
    await page.getByText(`${told.groups} groups`).waitFor();
    await page.goBack();
    await settled(page);
    await grid.locator("tbody td.value").first().focus();
    await page.keyboard.press("f");
    await page.getByText("1 group,").waitFor();
    expect(said(page, "filter")).toBe(`dst_port == ${value}`);
  });
});

test("a link shows the same to whoever gets it", async () => {
  const asked = path("flows", {
    ...TIME,
    filter: 'dst_port in [443, 80] && ns != ""',
    group_by: "ns,dst_port",
    by: "flows",
    top: "200",
    tz: "utc",
  });
  const shown = await visit(asked, {}, async ({ page }) => ({ cells: await cells(page, "Groups"), link: page.url() }));
  const other = await opened(shown.link.slice(url.length + 1));
  await settled(other.page);
  expect(await cells(other.page, "Groups")).toEqual(shown.cells);
  await other.close();
});
