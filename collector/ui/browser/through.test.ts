// The pages through `weir ui`: below its key, opened by the file that leads there, and shut
// to every other page of the browser that has the key all the same.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { ALL, closeBrowser, launched, PAGES, settled, url, visit } from "./page";

const work = mkdtempSync(join(tmpdir(), "weir-ui-"));
/** Where the opener leaves the name of the file that it was given. */
const given = join(work, "given");
let served: ChildProcess;
let base = "";

beforeAll(async () => {
  const opener = join(work, "xdg-open");
  writeFileSync(opener, `#!/bin/sh\nprintf %s "$1" >"${given}.part" && mv "${given}.part" "${given}"\n`);
  chmodSync(opener, 0o755);
  served = spawn(inject("weir"), ["ui", "--server", url], {
    env: { PATH: `${work}:/usr/bin:/bin`, DISPLAY: ":0", XDG_RUNTIME_DIR: work },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (!served.stdout) throw new Error("no standard output");
  const [address] = (await once(createInterface(served.stdout), "line")) as [string];
  base = address.replace(/\/$/, "");
});

afterAll(async () => {
  const ended = once(served, "exit");
  served.kill("SIGINT");
  const [code] = (await ended) as [number];
  rmSync(work, { recursive: true, force: true });
  await closeBrowser();
  expect(code).toBe(0);
});

for (const name of PAGES) {
  test(`${name} is had below the key, and nothing outside of it`, async () => {
    await visit(`${name}?${ALL}`, { base }, async ({ page, asked }) => {
      expect(await page.locator(".failure").count()).toBe(0);
      expect(asked.length).toBeGreaterThan(3);
      for (const address of asked) expect(address.startsWith(`${base}/`), address).toBe(true);
    });
  });
}

test("the file that a browser is given leads to the page", async () => {
  await expect.poll(() => existsSync(given), { timeout: 60_000 }).toBe(true);
  const page = await (await launched()).newPage();
  await page.goto(`file://${readFileSync(given, "utf8")}`);
  await page.waitForURL(`${base}/`);
  await settled(page);
  await page.close();
});

test("a page from elsewhere that has the key gets nothing by it", async () => {
  const elsewhere = createServer((_, to) => {
    to.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Elsewhere</title>");
  });
  await new Promise<void>((ready) => elsewhere.listen(0, "127.0.0.1", ready));
  const page = await (await launched()).newPage();
  try {
    const answers: Array<[string, number]> = [];
    page.on("response", (answer) => answers.push([answer.url(), answer.status()]));
    // Another port of the same host, and a name that leads to it.
    for (const host of ["127.0.0.1", "localhost"]) {
      await page.goto(`http://${host}:${(elsewhere.address() as AddressInfo).port}/`);
      const isRead = await page.evaluate(async (address) => {
        await fetch(`${address}?from=no-cors`, { mode: "no-cors" }).catch(() => undefined);
        const loaded = (element: HTMLElement) =>
          new Promise<void>((done) => {
            element.onload = element.onerror = () => done();
            document.body.append(element);
          });
        const script = document.createElement("script");
        script.src = `${address}?from=script`;
        const frame = document.createElement("iframe");
        frame.src = `${address}?from=frame`;
        await Promise.all([loaded(script), loaded(frame)]);
        return fetch(`${address}?from=fetch`).then(
          () => true,
          () => false,
        );
      }, `${base}/api/v1/me`);
      expect(isRead).toBe(false);
    }
    const told = answers.filter(([address]) => address.startsWith(base));
    expect(told.length).toBe(6);
    for (const [address, status] of told) expect([address, status]).toEqual([address, 403]);
  } finally {
    await page.close();
    elsewhere.close();
  }
});
