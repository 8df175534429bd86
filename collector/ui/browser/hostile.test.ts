// Names that are markup, code, conditions, other directions of writing or keys of objects: they
// are shown as text, found as values, and run nowhere.
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { visible } from "../web/format";
import { closeBrowser, PAGES, path, said, settled, visit, weir } from "./page";

afterAll(closeBrowser);

const FILTER = 'zone == "hostile"';
const until = new Date();
const TIME = { since: new Date(until.getTime() - 6 * 3_600_000).toISOString(), until: until.toISOString() };
const OF = ["--since", TIME.since, "--until", TIME.until];

const NAMES = (weir("flows", FILTER, ...OF, "--group-by", "ns") as { rows: Array<{ ns: string }> }).rows.map(
  (row) => row.ns,
);

/** Nothing of a name became part of the page. */
async function unharmed(page: Page): Promise<void> {
  expect(await page.evaluate(() => (globalThis as { broken?: number }).broken)).toBe(undefined);
  expect(await page.locator("img, iframe, main script").count()).toBe(0);
}

/** What a page is asked so that it shows the names. */
const QUESTIONS: Record<string, Record<string, string>> = {
  flows: { group_by: "ns,workload_name,dst_ns" },
  matrix: { by: "ns", show: "table" },
  topology: { show: "namespace" },
};

test("the store has names that are to break what shows them", () => {
  expect(NAMES.length).toBeGreaterThan(8);
  expect(NAMES.some((name) => name.includes("<script>"))).toBe(true);
  expect(NAMES).toContain("__proto__");
  expect(NAMES.some((name) => name.length > 240)).toBe(true);
});

for (const name of PAGES) {
  test(`${name} shows hostile names as text, and is not broken by them`, async () => {
    await visit(path(name, { ...TIME, filter: FILTER, ...QUESTIONS[name] }), {}, async ({ page }) => {
      expect(await page.locator(".failure").count()).toBe(0);
      await unharmed(page);
      if (QUESTIONS[name])
        expect(await page.locator("main").textContent()).toContain(NAMES.find((one) => one.includes("<img")));
      const { scroll, client } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
      }));
      expect(scroll).toBeLessThanOrEqual(client);
    });
  });
}

test("records with hostile names are opened, all of each is text", async () => {
  await visit(path("flows", { ...TIME, filter: FILTER }), { width: 1500 }, async ({ page }) => {
    const rows = page.getByRole("button", { name: /^Record of row/ });
    for (let at = 0; at < Math.min(12, await rows.count()); at += 1) {
      await rows.nth(at).click();
      await page.getByRole("complementary", { name: "Record" }).waitFor();
    }
    await unharmed(page);
  });
});

test("each hostile name is filtered by as the value that it is, and its link asks the same", async () => {
  await visit(path("flows", { ...TIME, group_by: "ns", filter: FILTER }), {}, async ({ page, context }) => {
    for (const name of NAMES) {
      await page.goto(new URL(path("flows", { ...TIME, group_by: "ns", filter: FILTER }), page.url()).href);
      await settled(page);
      await page.getByRole("gridcell", { name: visible(name), exact: true }).click();
      await page.getByRole("menuitem", { name: /^Only this/ }).click();
      await page.waitForURL((address) => (address.searchParams.get("filter") ?? "").includes(" && "));
      await settled(page);
      const grid = page.getByRole("grid", { name: "Groups" });
      expect(await grid.locator("tbody tr").count(), name).toBe(1);
      expect(said(page, "filter"), name).toBe(`${FILTER} && ns == ${JSON.stringify(name)}`);
    }
    const other = await context.newPage();
    await other.goto(page.url());
    await settled(other);
    expect(await other.getByRole("grid", { name: "Groups" }).locator("tbody tr").count()).toBe(1);
    await unharmed(other);
  });
});
