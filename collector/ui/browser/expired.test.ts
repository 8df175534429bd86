// Time whose records have expired is not time in which nothing flowed.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { QueryAnswer } from "../web/types";
import { closeBrowser, path, visit } from "./page";
import { type Run, run, until } from "./run";

let collector: Run | undefined;

beforeAll(async () => {
  // Of two files of records the older one is over what they may take.
  collector = await run({
    fills: [
      ["4000", "3"],
      ["4000", "1"],
    ],
    options: () => ["--raw-bytes", "1B"],
  });
}, 120_000);

afterAll(async () => {
  await collector?.stop();
  await closeBrowser();
});

test("expired time is hatched and told, in the picture, in words and in the table", async () => {
  const base = collector?.url ?? "";
  // Sums keep no ports: what has expired is not in them.
  const asked = { since: "3h", filter: "dst_port > 0" };
  const notes = async () => {
    const answer = await fetch(`${base}/api/v1/${path("query", { ...asked, measures: "flows" })}`);
    return ((await answer.json()) as QueryAnswer).notes.filter((note) => note.kind === "expired" && note.until);
  };
  await until("nothing expires", async () => (await notes()).length > 0);
  const [gone] = await notes();
  await visit(path("flows", { ...asked, group_by: "ns" }), { base }, async ({ page }) => {
    expect(await page.locator("rect.gone").count()).toBe(1);
    await page.getByText(/^Hatched: from .* records have expired/).waitFor();
    const chart = page.getByRole("application", { name: /^Rate/ });
    await chart.focus();
    await page.keyboard.press("Home");
    expect(await page.locator("main .told").first().textContent()).toMatch(/: no data$/);
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    expect(await page.locator("main .told").first().textContent()).toMatch(/bit\/s$/);
    await page.locator("summary", { hasText: "As a table" }).click();
    const rows = await page
      .getByRole("region", { name: "Rate, as a table" })
      .locator("tbody tr")
      .evaluateAll((all) => all.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.textContent)));
    const end = Date.parse(gone?.until ?? "");
    const before = rows.filter(([at]) => Date.parse(`${at?.replace(" ", "T")}Z`) < end - 120_000);
    expect(before.length).toBeGreaterThan(20);
    for (const [at, value] of before) expect(value, at ?? "").toBe("no data");
    expect(rows.at(-2)?.[1]).toMatch(/bit\/s$/);
  });
});
