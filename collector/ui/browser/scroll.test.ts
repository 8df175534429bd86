// All records in one table whose scrollbar is time: the rows are those of the API, wherever one
// is, and only those in view are drawn.
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { closeBrowser, opened, path, said, settled, url, visit, weirLines } from "./page";
import { problem, proxy } from "./proxy";

afterAll(closeBrowser);

const until = new Date();
const TIME = { since: new Date(until.getTime() - 6 * 3_600_000).toISOString(), until: until.toISOString() };
const ASKED = { ...TIME, show: "all", columns: "time,port,dst_port,bytes" };
const total = async () => {
  const answer = await fetch(`${url}/api/v1/${path("query", { ...TIME, measures: "flows" })}`);
  return ((await answer.json()) as { totals: { flows: number } }).totals.flows;
};

/** The rows that are drawn and are there: their number, from 0 on, and the exact bytes. */
const drawn = (page: Page) =>
  page
    .getByRole("grid", { name: "All records" })
    .evaluate((table) =>
      [...(table as HTMLTableElement).tBodies[0]!.rows]
        .filter((row) => row.getAttribute("aria-busy") !== "true")
        .map(
          (row) => [Number(row.getAttribute("aria-rowindex")) - 2, row.cells[4]?.title.replaceAll(",", "")] as const,
        ),
    );

/** Waits until all rows in view are there. */
const there = (page: Page) =>
  page.waitForFunction(() => {
    const rows = [...document.querySelectorAll(".time-scroll tbody tr")];
    return rows.length > 5 && rows.every((row) => row.getAttribute("aria-busy") !== "true");
  });

const scrollTo = (page: Page, part: number) =>
  page.locator(".time-scroll").evaluate((element, part) => {
    element.scrollTop = (element.scrollHeight - element.clientHeight) * part;
  }, part);

test("wherever one scrolls to, the rows are those that stand there in the whole list", async () => {
  const rows = await total();
  const all = weirLines(
    "flows",
    "--since",
    TIME.since,
    "--until",
    TIME.until,
    "--limit",
    "100000",
    "--columns",
    "bytes",
  );
  expect(all.length).toBe(rows);
  await visit(path("flows", ASKED), {}, async ({ page }) => {
    const grid = page.getByRole("grid", { name: "All records" });
    expect(await grid.getAttribute("aria-rowcount")).toBe(String(rows + 1));
    for (const part of [0, 0.25, 0.5, 0.75, 1, 0.1]) {
      await scrollTo(page, part);
      await page.waitForFunction(
        ([part, rows]) => {
          const at = Number(
            document
              .querySelector(".position")
              ?.textContent?.match(/Row ([\d,]+)/)?.[1]
              ?.replaceAll(",", ""),
          );
          return Math.abs(at - part * rows) < 60;
        },
        [part, rows] as const,
      );
      await there(page);
      const seen = await drawn(page);
      expect(seen.length).toBeGreaterThan(10);
      expect(seen.length).toBeLessThan(60);
      for (const [number, bytes] of seen) expect(bytes, `row ${number}`).toBe(String(all[number]?.["bytes"]));
      // Rows are as high as is counted with, so that the last is seen at the end.
      const box = await page.locator(".time-scroll").boundingBox();
      const heights = await grid
        .locator("tbody tr")
        .evaluateAll((all) => all.map((row) => row.getBoundingClientRect().height));
      expect([...new Set(heights)]).toEqual([28]);
      if (part === 1) {
        const last = await grid.locator(`tr[aria-rowindex="${rows + 1}"]`).boundingBox();
        expect((last?.y ?? 0) + (last?.height ?? 0)).toBeLessThanOrEqual((box?.y ?? 0) + (box?.height ?? 0) + 1);
      }
    }
  });
});

test("oldest first it goes the other way, and time with it", async () => {
  await visit(path("flows", { ...ASKED, order: "oldest" }), {}, async ({ page }) => {
    await there(page);
    const told = weirLines(
      "flows",
      "--since",
      TIME.since,
      "--until",
      TIME.until,
      "--limit",
      "30",
      "--columns",
      "bytes",
      "--order",
      "oldest",
    );
    const seen = await drawn(page);
    for (const [number, bytes] of seen.slice(0, 15)) expect(bytes).toBe(String(told[number]?.["bytes"]));
    const at = async () =>
      Date.parse(`${(await page.locator(".position").textContent())?.split(" · ")[1]?.replace(" ", "T")}Z`);
    const first = await at();
    await scrollTo(page, 1);
    await page.waitForFunction(() => !document.querySelector(".position")?.textContent?.startsWith("Row 1 "));
    expect(await at()).toBeGreaterThan(first + 3_600_000);
  });
});

test("it is walked by keys to its end and back, and a value is filtered by", async () => {
  const rows = await total();
  await visit(path("flows", ASKED), {}, async ({ page }) => {
    await there(page);
    const grid = page.getByRole("grid", { name: "All records" });
    expect(await grid.locator('[tabindex="0"]').count()).toBe(1);
    await grid.locator('[tabindex="0"]').focus();
    const at = () =>
      page.evaluate(() => {
        const cell = document.activeElement?.closest("td") as HTMLTableCellElement | null;
        return [Number(cell?.closest("tr")?.getAttribute("aria-rowindex")) - 2, cell?.cellIndex];
      });
    await page.keyboard.press("Control+End");
    await page.waitForFunction(
      (last) => document.activeElement?.closest("tr")?.getAttribute("aria-rowindex") === last,
      String(rows + 1),
    );
    expect(await at()).toEqual([rows - 1, 4]);
    await there(page);
    await page.keyboard.press("PageUp");
    await page.keyboard.press("ArrowUp");
    const [row] = await at();
    expect(row).toBeLessThan(rows - 5);
    await page.keyboard.press("Control+Home");
    await page.waitForFunction(() => document.activeElement?.closest("tr")?.getAttribute("aria-rowindex") === "2");
    await there(page);
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
    expect(await at()).toEqual([1, 3]);
    const port = await page.evaluate(() => document.activeElement?.textContent);
    await page.keyboard.press("f");
    await page.waitForURL(/filter=/);
    expect(said(page, "filter")).toBe(`dst_port == ${port}`);
    await settled(page);
  });
});

test("what is asked anew by itself leaves the table as it was opened", async () => {
  const between = await proxy(url);
  const look = { base: between.base, setup: async (context: BrowserContext) => context.clock.install() };
  await visit("flows?since=6h&show=all", look, async ({ page }) => {
    await there(page);
    const again = page.getByRole("combobox", { name: "Ask again every" });
    await again.selectOption("5");
    let asked = between.asked.length;
    await page.clock.runFor(21_000);
    await settled(page);
    expect(between.asked.length).toBe(asked);
    // The records a page at a time are asked for anew.
    await page.getByRole("button", { name: "Scroll through all" }).click();
    await page.getByRole("grid", { name: "Records" }).waitFor();
    await settled(page);
    asked = between.asked.length;
    await page.clock.runFor(21_000);
    await settled(page);
    expect(between.asked.length).toBeGreaterThan(asked);
  });
  await between.close();
});

test("only stretches around what is in view are asked for, and a record shows all of itself", async () => {
  const between = await proxy(url);
  await visit(path("flows", ASKED), { base: between.base, width: 1500 }, async ({ page }) => {
    await there(page);
    await scrollTo(page, 0.5);
    await page.waitForFunction(() => !document.querySelector(".position")?.textContent?.startsWith("Row 1 "));
    await there(page);
    const pages = between.asked.filter((address) => address.startsWith("/api/v1/flows?"));
    expect(pages.length).toBeLessThan(8);
    for (const address of pages) expect(address).toContain("columns=");
    const [[number, bytes] = [0, ""]] = await drawn(page);
    await page.getByRole("button", { name: `Record of row ${number + 1}`, exact: true }).click();
    const side = page.getByRole("complementary", { name: "Record" });
    await side.getByRole("row", { name: /^Exporting node/ }).waitFor();
    expect((await side.getByRole("row", { name: /^Bytes/ }).textContent())?.replaceAll(",", "")).toContain(
      `(${bytes})`,
    );
  });
  await between.close();
});

test("what cannot be fetched stands blank with the reason, and comes when it is fetched again", async () => {
  let refused = true;
  const between = await proxy(url, "", (from, to) => {
    if (!refused || !from.url?.startsWith("/api/v1/flows?")) return false;
    return problem(to, 504, "timeout", "no answer within 60 s");
  });
  const look = { base: between.base, quiet: /Failed to load resource/ };
  const { page, wrong, close } = await opened(path("flows", ASKED), look);
  await page.getByText("The answer took too long.").waitFor();
  expect(await drawn(page)).toEqual([]);
  refused = false;
  await page.getByRole("button", { name: "Fetch it again" }).click();
  await there(page);
  expect(await page.getByText("The answer took too long.").count()).toBe(0);
  expect(wrong).toEqual([]);
  await close();
  await between.close();
});
