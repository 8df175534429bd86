// Records as they come.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, expect, inject, test } from "vitest";
import { closeBrowser, opened, said } from "./page";

afterAll(closeBrowser);

/** Sends so many records to the collector. */
const send = (count: number, rate: number) =>
  promisify(execFile)(inject("weir"), [
    "bench",
    "--to",
    inject("udp"),
    "--protocol",
    "ovs-ipfix",
    "--rate",
    String(rate),
    "--count",
    String(count),
    "--exporters",
    "2",
    "--flows",
    "50",
  ]);

test("records are shown as they come, paused and gone on with, and what is left out is told", async () => {
  const { page, wrong, close } = await opened("flows?live=true&all_observations=true");
  await page.getByText("Nothing came yet.").waitFor();
  await send(300, 200);
  const grid = page.getByRole("grid", { name: "Records that come" });
  await page.getByText(/^300 came/).waitFor();
  expect(await grid.locator("tbody tr").count()).toBe(200);
  await page.getByRole("button", { name: "Pause" }).click();
  const rows = await grid.locator("tbody").textContent();
  await send(5000, 5000);
  await page.locator(".note").first().waitFor();
  expect(await grid.locator("tbody").textContent()).toBe(rows);
  await page.getByRole("button", { name: "Go on" }).click();
  await send(20, 100);
  await page.waitForFunction((before) => document.querySelector("main tbody")?.textContent !== before, rows);
  await grid.getByRole("button", { name: "Record of row 1", exact: true }).click();
  await page.getByRole("complementary", { name: "Record" }).waitFor();
  await page.getByRole("button", { name: "The last minutes, kept" }).click();
  await page.getByRole("grid", { name: "Records", exact: true }).waitFor();
  expect([said(page, "live"), said(page, "since")]).toEqual([null, "5m"]);
  expect(wrong).toEqual([]);
  await close();
});
