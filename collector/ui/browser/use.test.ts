// What people do with the pages: by mouse, and by keys alone.
import { afterAll, expect, test } from "vitest";
import { PAGE_TITLES } from "../web/words";
import { ALL, closeBrowser, PAGES, path, said, settled, visit } from "./page";

afterAll(closeBrowser);

test("a filter goes on with fields, then with values that there are", async () => {
  await visit(`flows?${ALL}`, {}, async ({ page }) => {
    await page.keyboard.press("/");
    const box = page.getByRole("combobox", { name: "Filter" });
    await expect(box.evaluate((element) => element === document.activeElement)).resolves.toBe(true);
    await page.keyboard.type("workload_na");
    await page.getByRole("option", { name: /^workload_name/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect(box.inputValue()).resolves.toBe("workload_name");
    await page.keyboard.type(' == "workload-1');
    await page
      .getByRole("option", { name: /^workload-1\b/ })
      .first()
      .waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.waitForURL(/filter=/);
    expect(said(page, "filter")).toMatch(/^workload_name == "workload-1\d*"$/);
    await settled(page);
    expect(await page.getByRole("grid", { name: "Records" }).count()).toBe(1);
  });
});

test("a step within a table draws the two rows anew that it leaves and enters, and no other", async () => {
  const handlers = () => {
    // What draws the page keeps each element's handlers beside it, and sets them whenever it draws it.
    const rows = [...document.querySelectorAll<HTMLTableRowElement>("[role=grid] tbody tr")];
    const last = rows.map(
      (row) => row.cells[row.cells.length - 1]?.querySelector("button") ?? row.cells[row.cells.length - 1],
    );
    return last.map((cell) =>
      Object.values(cell as object)
        .filter((value) => typeof value === "object" && value !== null)
        .flatMap((value) => Object.values(value as object))
        .find((value) => typeof value === "function"),
    );
  };
  for (const [address, start] of [
    [`flows?${ALL}&group_by=ns,dst_ns`, '[role=grid] [tabindex="0"]'],
    [`matrix?${ALL}`, '[role=grid] [tabindex="0"]'],
  ] as const) {
    await visit(address, {}, async ({ page }) => {
      await page.locator(start).first().focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      const before = await page.evaluateHandle(handlers);
      expect(await before.evaluate((all) => all.length > 6 && all.every((one) => one !== undefined))).toBe(true);
      await page.keyboard.press("ArrowDown");
      const drawn = await page.evaluate(
        ([then, now]) => then.map((one, at) => (one === now[at] ? -1 : at)).filter((at) => at >= 0),
        [before, await page.evaluateHandle(handlers)] as never,
      );
      expect((drawn as number[]).length).toBeLessThanOrEqual(2);
      expect((drawn as number[]).length).toBeGreaterThan(0);
    });
  }
});

test("a wrong filter is not asked: the place is shown, and what was meant mends it", async () => {
  await visit(`flows?${ALL}`, {}, async ({ page }) => {
    const box = page.getByRole("combobox", { name: "Filter" });
    await box.fill('bytes > 1 && nss == "team-0"');
    await box.press("Escape");
    await box.fill('bytes > 1 && nss == "team-0"');
    await page.locator("#filter-fault mark").waitFor();
    expect(await page.locator("#filter-fault mark").textContent()).toBe("nss");
    await box.press("Control+Enter");
    expect(said(page, "filter")).toBe(null);
    await page.locator("#filter-fault button").click();
    await expect(box.inputValue()).resolves.toBe('bytes > 1 && ns == "team-0"');
    await box.press("Control+Enter");
    await page.waitForURL(/filter=/);
    await settled(page);
    expect(await page.locator(".failure").count()).toBe(0);
  });
});

test("conditions are turned around, set aside, taken back and removed", async () => {
  const filter = 'ns == "team-0" && dst_port == 443';
  await visit(path("flows", { since: "6h", filter }), {}, async ({ page }) => {
    await page.getByRole("button", { name: "The opposite of dst_port == 443" }).click();
    expect(said(page, "filter")).toBe('ns == "team-0" && !(dst_port == 443)');
    await page.getByRole("button", { name: 'Set ns == "team-0" aside' }).click();
    expect([said(page, "filter"), said(page, "off")]).toEqual(["!(dst_port == 443)", 'ns == "team-0"']);
    await page.getByRole("button", { name: 'Take ns == "team-0" back in' }).click();
    expect([said(page, "filter"), said(page, "off")]).toEqual(['!(dst_port == 443) && ns == "team-0"', null]);
    await page.getByRole("button", { name: "Remove !(dst_port == 443)" }).click();
    expect(said(page, "filter")).toBe('ns == "team-0"');
    await page.getByRole("button", { name: "Other direction" }).click();
    await page.waitForURL(/dst_ns/);
    expect(said(page, "filter")).toBe('dst_ns == "team-0"');
    const quick = page.getByRole("button", { name: "Between zones" });
    await quick.click();
    expect(await quick.getAttribute("aria-pressed")).toBe("true");
    await quick.click();
    expect(said(page, "filter")).toBe('dst_ns == "team-0"');
    await settled(page);
  });
});

test("a range is chosen in a chart by mouse and by keys", async () => {
  await visit(`flows?${ALL}`, {}, async ({ page }) => {
    const chart = page.getByRole("application", { name: /^Rate/ });
    await chart.focus();
    for (const key of ["Home", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "Enter"])
      await page.keyboard.press(key);
    await page.waitForURL(/until=/);
    const length = Date.parse(said(page, "until") ?? "") - Date.parse(said(page, "since") ?? "");
    expect(length).toBe(3 * 120_000);
    await page.goBack();
    await settled(page);
    const box = await chart.locator("svg").boundingBox();
    if (!box) throw new Error("the chart has no place");
    await page.mouse.move(box.x + box.width * 0.4, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 30, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/until=/);
    const dragged = Date.parse(said(page, "until") ?? "") - Date.parse(said(page, "since") ?? "");
    expect(dragged).toBeGreaterThan(3_600_000);
    expect(dragged).toBeLessThan(4 * 3_600_000);
    await settled(page);
  });
});

test("time is moved, widened and chosen, and the browser goes back through it", async () => {
  await visit("flows?since=1h", {}, async ({ page }) => {
    await page.keyboard.press("[");
    await page.waitForURL(/until=/);
    const since = said(page, "since");
    await page.getByRole("button", { name: "Twice as long" }).click();
    await page.waitForFunction((before) => new URL(location.href).searchParams.get("since") !== before, since);
    await page.keyboard.press("t");
    await page.getByRole("button", { name: "6h" }).click();
    expect([said(page, "since"), said(page, "until")]).toEqual(["6h", null]);
    await page.goBack();
    await page.goBack();
    expect(said(page, "since")).toBe(since);
    await page.goBack();
    expect(said(page, "since")).toBe("1h");
    await settled(page);
  });
});

test("a table is walked by keys, and focus comes back from its menu", async () => {
  await visit(`flows?${ALL}&group_by=ns,dst_ns`, {}, async ({ page }) => {
    const at = () =>
      page.evaluate(() => {
        const cell = document.activeElement?.closest("td, th") as HTMLTableCellElement | null;
        return cell ? [(cell.parentElement as HTMLTableRowElement).rowIndex, cell.cellIndex] : [];
      });
    const grid = page.getByRole("grid", { name: "Groups" });
    expect(await grid.locator('[tabindex="0"]').count()).toBe(1);
    await grid.locator('[tabindex="0"]').focus();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
    expect(await at()).toEqual([2, 2]);
    await page.keyboard.press("Control+Home");
    expect(await at()).toEqual([0, 0]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.getByRole("menu").waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Escape");
    expect(await at()).toEqual([1, 1]);
    expect(await grid.locator('[tabindex="0"]').count()).toBe(1);
  });
});

test("every page is reached by keys, and no stop traps", async () => {
  await visit(`overview?${ALL}`, {}, async ({ page }) => {
    for (const [letter, name] of [
      ["f", "flows"],
      ["t", "topology"],
      ["m", "matrix"],
      ["s", "sankey"],
      ["n", "nodes"],
      ["c", "status"],
      ["o", "overview"],
    ]) {
      await page.locator("h1").focus();
      await page.keyboard.press("g");
      await page.keyboard.press(letter ?? "");
      await page.waitForURL(new RegExp(`/${name}\\?`));
      await settled(page);
    }
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    const seen = new Set<string>();
    let left = false;
    for (let steps = 0; steps < 400; steps += 1) {
      await page.keyboard.press("Tab");
      const where = await page.evaluate(() => {
        const now = document.activeElement;
        if (!now || now === document.body) return "";
        const all = [...document.querySelectorAll("*")];
        return String(all.indexOf(now));
      });
      if (where === "" && seen.size > 15) {
        left = true;
        break;
      }
      seen.add(where);
    }
    // Focus has gone through the page and out of it.
    expect(left).toBe(true);
    expect(seen.size).toBeGreaterThan(15);
  });
});

test("single keys do nothing where that is not wanted", async () => {
  await visit(`overview?${ALL}`, {}, async ({ page }) => {
    await page.keyboard.press("?");
    await page.getByRole("checkbox", { name: "Single keys do something" }).uncheck();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
    await page.keyboard.press("[");
    expect(said(page, "until")).toBe(null);
  });
});

test("names are text, whatever stands in them", async () => {
  const hostile = '<img src=x onerror="document.title=1">';
  const filter = `ns == ${JSON.stringify(hostile)} || ns != ""`;
  await visit(
    path("flows", { since: "6h", filter, off: `name == ${JSON.stringify(hostile)}` }),
    {},
    async ({ page }) => {
      expect(await page.locator("img").count()).toBe(0);
      expect(await page.title()).toBe("Flows · Weir");
      expect(await page.locator(".chip").first().textContent()).toContain("onerror");
      expect(said(page, "filter")).toBe(filter);
    },
  );
});

test("going from page to page takes the question along and leaves nothing behind", async () => {
  await visit(
    path("flows", { since: "6h", filter: 'ns == "team-0"', group_by: "ns", by: "packets" }),
    {},
    async ({ page }) => {
      for (const name of PAGES.filter((name) => name !== "flows")) {
        const title = PAGE_TITLES[name] ?? "";
        await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: title, exact: true }).click();
        await page.waitForURL(new RegExp(`/${name}\\?`));
        expect([said(page, "since"), said(page, "filter"), said(page, "by")]).toEqual(["6h", 'ns == "team-0"', null]);
        await settled(page);
        expect(await page.locator(".failure").count()).toBe(0);
      }
    },
  );
});
