// Each page: that it loads wherever it stands, in light and dark, for those who do not see
// it, and on a narrow screen. Screenshots are left in $SCREENSHOTS.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ALLOWED, ISOLATED } from "./objects";
import { ALL, closeBrowser, faults, opened, PAGES, settled, url, visit } from "./page";
import { proxy } from "./proxy";

afterAll(closeBrowser);

const shots = process.env["SCREENSHOTS"];
if (shots) mkdirSync(shots, { recursive: true });
for (const name of PAGES) {
  for (const theme of ["light", "dark"] as const) {
    test(`${name} in ${theme} has no fault that axe knows, and nothing is refused or fails unseen`, async () => {
      await visit(`${name}?${ALL}`, { theme }, async ({ page, asked }) => {
        expect(await page.locator(".failure").count()).toBe(0);
        if (shots) await page.screenshot({ path: join(shots, `${name}-${theme}.png`) });
        expect(await faults(page)).toEqual([]);
        for (const address of asked) expect(new URL(address).origin).toBe(new URL(url).origin);
      });
    });
  }
  test(`${name} works below any prefix and asks nothing outside of it`, async () => {
    const below = await proxy(url, "/api/v1/namespaces/weir/services/x/proxy");
    try {
      await visit(`${name}?${ALL}`, { base: below.base }, async ({ page, asked }) => {
        await page.getByRole("link", { name: "Flows", exact: true }).click();
        await page.waitForURL(/\/proxy\/flows\?/);
        await settled(page);
        expect(asked.length).toBeGreaterThan(5);
        for (const address of asked) expect(address.startsWith(`${below.base}/`), address).toBe(true);
      });
    } finally {
      await below.close();
    }
  });
  test(`${name} is read on 320 pixels without scrolling sideways`, async () => {
    await visit(`${name}?${ALL}`, { width: 320, height: 800 }, async ({ page }) => {
      const { scroll, client } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
      }));
      expect(scroll).toBeLessThanOrEqual(client);
    });
  });
}

/** Views that are not what a page shows first. */
const VIEWS = [
  `policies?${ALL}&show=rules`,
  `policies?${ALL}&show=disagreements&ns=${ISOLATED}`,
  `policies?${ALL}&show=generate&ns=${ISOLATED}&level=workload`,
  `policies?${ALL}&show=check`,
  `policies?show=explain&src=${ALLOWED}/deployment/workload-30&dst=${ISOLATED}/deployment/workload-0&port=443`,
  `matrix?${ALL}&by=ns&colour=policy`,
  `flows?${ALL}&show=all`,
];

for (const [at, view] of VIEWS.entries()) {
  test(`${view} has no fault that axe knows, in light, dark and on 320 pixels`, async () => {
    for (const theme of ["light", "dark"] as const) {
      await visit(view, { theme }, async ({ page }) => {
        expect(await page.locator(".failure").count()).toBe(0);
        if (shots) await page.screenshot({ path: join(shots, `view-${at}-${theme}.png`) });
        expect(await faults(page)).toEqual([]);
      });
    }
    await visit(view, { width: 320, height: 800 }, async ({ page }) => {
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width).toBeLessThanOrEqual(320);
    });
  });
}

// What docs/ui.md shows.
test.skipIf(!shots)("pictures for the documents", async () => {
  const pictures: Array<[string, string, "light" | "dark"]> = [
    ["overview", `overview?${ALL}`, "light"],
    ["flows", `flows?${ALL}&group_by=ns,dst_ns&conversation=true&top=10`, "dark"],
    ["topology", `topology?${ALL}&show=workload&filter=zone+!%3D+"hostile"`, "light"],
    ["matrix", `matrix?${ALL}`, "light"],
    ["policies", `policies?${ALL}&ns=${ISOLATED}`, "light"],
  ];
  for (const [name, path, theme] of pictures) {
    await visit(path, { theme, width: 1100, height: 800 }, async ({ page }) => {
      if (shots) await page.screenshot({ path: join(shots, `ui-${name}.png`) });
    });
  }
});

test("side panels and menus have no fault that axe knows", async () => {
  await visit(`flows?${ALL}`, { width: 1500 }, async ({ page }) => {
    await page.getByRole("button", { name: "Record of row 1", exact: true }).click();
    await page.getByRole("complementary", { name: "Record" }).waitFor();
    if (shots) await page.screenshot({ path: join(shots, "record-light.png") });
    expect(await faults(page)).toEqual([]);
    await page.getByRole("gridcell").nth(3).click();
    await page.getByRole("menu").waitFor();
    expect(await faults(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    expect(await faults(page)).toEqual([]);
  });
});

test("files of the page are fetched once", async () => {
  const { page, context, close } = await opened("overview");
  await settled(page);
  const painted = await page.evaluate(
    () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.POSITIVE_INFINITY,
  );
  console.log(`first picture after ${Math.round(painted)} ms`);
  const again = await context.newPage();
  await again.goto(page.url());
  await settled(again);
  const sizes = await again.evaluate(() =>
    (performance.getEntriesByType("resource") as PerformanceResourceTiming[])
      .filter((one) => one.name.includes("/assets/"))
      .map((one) => one.transferSize),
  );
  expect(sizes.length).toBeGreaterThan(1);
  expect(sizes.every((size) => size === 0)).toBe(true);
  await close();
});

test("a page is sent whole once and then only asked whether it is still the same", async () => {
  const first = await fetch(`${url}/flows`);
  const tag = first.headers.get("etag") ?? "";
  expect(first.headers.get("content-security-policy")).toContain("default-src 'none'");
  const second = await fetch(`${url}/matrix`, { headers: { "if-none-match": tag } });
  expect([first.status, second.status]).toEqual([200, 304]);
  expect((await fetch(`${url}/nowhere`)).status).toBe(404);
});
