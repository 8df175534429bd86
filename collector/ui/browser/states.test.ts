// What is said when there is nothing to show, or something went wrong on the way.
import { afterAll, expect, test } from "vitest";
import { ALL, closeBrowser, opened, path, said, settled, url, visit } from "./page";
import { problem, proxy } from "./proxy";

afterAll(closeBrowser);

/** What a browser itself says of answers that are errors. */
const REFUSED = /Failed to load resource/;

test("of an empty answer it is told which condition is to blame", async () => {
  const filter = 'ns == "team-0" && dst_port == 9';
  await visit(path("flows", { since: "6h", filter }), {}, async ({ page }) => {
    const guilty = page.getByRole("listitem").filter({ hasText: "fits 0 by itself" });
    await guilty.waitFor();
    expect(await guilty.locator("code").textContent()).toBe("dst_port == 9");
    await guilty.getByRole("button", { name: "Remove it" }).click();
    await page.waitForURL((address) => address.searchParams.get("filter") === 'ns == "team-0"');
    await settled(page);
    expect(await page.getByRole("grid", { name: "Records" }).count()).toBe(1);
  });
});

test("of an empty time the newest is a step away", async () => {
  await visit("flows?since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z", {}, async ({ page }) => {
    await page.getByText("No flow in this time.").waitFor();
    await page.getByRole("button", { name: /Go to the newest/ }).click();
    await settled(page);
    await page.getByRole("grid", { name: "Records" }).waitFor();
  });
});

test("a question that is wrong says so and why", async () => {
  await visit(path("flows", { since: "6h", group_by: "nss" }), { quiet: REFUSED }, async ({ page }) => {
    const failure = page.getByRole("alert").filter({ hasText: "nss" });
    await failure.waitFor();
    await failure.getByRole("button").first().click();
    await page.getByRole("grid", { name: "Groups" }).waitFor();
    expect(said(page, "group_by")).toBe("ns");
  });
});

test("one picture that fails leaves the others", async () => {
  const between = await proxy(
    url,
    "",
    (from, to) =>
      (from.url?.includes("group_by=verdict") ?? false) && problem(to, 504, "timeout", "no answer within 60 s"),
  );
  await visit(`overview?${ALL}`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    await page.getByRole("region", { name: "Verdicts" }).getByRole("alert").waitFor();
    expect(await page.getByRole("alert").filter({ hasText: "took too long" }).count()).toBe(1);
    expect(await page.getByRole("grid", { name: /^Ports/ }).count()).toBe(1);
  });
  await between.close();
});

test("who finds no turn asks again by itself", async () => {
  let refused = 0;
  const between = await proxy(
    url,
    "",
    (from, to) =>
      (from.url?.startsWith("/api/v1/matrix") ?? false) &&
      refused++ === 0 &&
      problem(to, 429, "busy", "no turn came within 5 s"),
  );
  await visit(`matrix?${ALL}`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    await page.getByRole("grid", { name: "Clients and servers" }).waitFor();
    expect(refused).toBe(2);
  });
  await between.close();
});

test("who sees some namespaces is told which, and is asked nothing that is refused", async () => {
  const known = (await (await fetch(`${url}/api/v1/me`)).json()) as object;
  const ann = { ...known, name: "ann", known_by: "token", sees_everything: false, namespaces: ["team-0", "team-1"] };
  const between = await proxy(url, "", (from, to) => {
    if (from.url?.startsWith("/api/v1/status") || from.url?.startsWith("/api/v1/exporters"))
      return problem(to, 403, "forbidden", "it is for those who may get pods in all namespaces");
    if (!from.url?.startsWith("/api/v1/me")) return false;
    to.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(ann));
    return true;
  });
  await visit(`overview?${ALL}`, { base: between.base }, async ({ page }) => {
    const scope = page.getByRole("button", { name: "You see 2 namespaces" });
    await scope.click();
    const dialog = page.getByRole("dialog", { name: "Who you are" });
    expect(await dialog.getByRole("listitem").allTextContents()).toEqual(["team-0", "team-1"]);
    expect(await dialog.textContent()).toContain("kubectl create rolebinding");
    expect(await page.getByRole("region", { name: "Collector" }).count()).toBe(0);
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Status", exact: true }).click();
    await page.getByText("is told to those who may get pods in all namespaces").waitFor();
    expect(await page.locator(".failure").count()).toBe(0);
    await page.getByRole("link", { name: "Flows", exact: true }).click();
    await settled(page);
    expect(await page.getByRole("button", { name: "How?" }).count()).toBe(0);
  });
  await between.close();
});

test("no more than three questions are asked at a time, and all are answered", async () => {
  let [now, most, all] = [0, 0, 0];
  const between = await proxy(url, "", (from, to) => {
    if (!from.url?.startsWith("/api/")) return false;
    now += 1;
    all += 1;
    most = Math.max(most, now);
    to.on("close", () => {
      now -= 1;
    });
    return false;
  });
  await visit(`overview?${ALL}`, { base: between.base }, async () => {
    expect(all).toBeGreaterThan(10);
    expect(most).toBeLessThanOrEqual(3);
  });
  await between.close();
});

test("a collector that is gone leaves what was shown, and comes back", async () => {
  let gone = false;
  const between = await proxy(url, "", (_, to) => {
    if (gone) to.destroy();
    return gone;
  });
  await visit(
    `flows?${ALL}&group_by=ns`,
    { base: between.base, quiet: /Failed to load resource|net::/ },
    async ({ page }) => {
      gone = true;
      await page.getByRole("button", { name: "Ask again" }).first().click();
      await page.getByText("The collector does not answer.").first().waitFor();
      expect(await page.getByRole("grid", { name: "Groups" }).locator("tbody tr").count()).toBeGreaterThan(1);
      gone = false;
      await page.getByRole("alert").first().getByRole("button", { name: "Ask again" }).click();
      await page.getByRole("alert").filter({ hasText: "does not answer" }).first().waitFor({ state: "detached" });
      await settled(page);
    },
  );
  await between.close();
});

test("a token is asked for, sent in its own header, and kept nowhere that lasts", async () => {
  const TOKEN = "e30.secret.c2ln";
  let good = TOKEN;
  const shown: Array<string | undefined> = [];
  const between = await proxy(url, "", (from, to) => {
    if (!from.url?.startsWith("/api/")) return false;
    const header = from.headers["x-weir-authorization"];
    shown.push(from.headers.authorization);
    return (
      header !== `Bearer ${good}` &&
      problem(to, 401, "unauthorized", "a bearer token is needed that Kubernetes accepts")
    );
  });
  const { page, context, close } = await opened(`flows?${ALL}&group_by=ns`, { base: between.base, quiet: REFUSED });
  const dialog = page.getByRole("dialog", { name: "Say who you are" });
  await dialog.waitFor();
  await dialog.getByLabel("Token", { exact: true }).fill(TOKEN);
  await dialog.getByRole("button", { name: "Go on" }).click();
  await settled(page);
  await page.getByRole("grid", { name: "Groups" }).waitFor();
  // The token is not accepted any more: the question is kept.
  good = `${TOKEN}2`;
  await page.getByRole("button", { name: "Ask again" }).first().click();
  await dialog.waitFor();
  expect(said(page, "group_by")).toBe("ns");
  await dialog.getByLabel("Token", { exact: true }).fill(good);
  await dialog.getByRole("checkbox", { name: "Keep it for this tab" }).check();
  await dialog.getByRole("button", { name: "Go on" }).click();
  await dialog.waitFor({ state: "detached" });
  await settled(page);
  const kept = await page.evaluate(() => ({
    local: JSON.stringify(localStorage),
    cookies: document.cookie,
    tab: JSON.stringify(sessionStorage),
  }));
  expect(kept.local + kept.cookies + page.url()).not.toContain("secret");
  expect(kept.tab).toContain("secret");
  expect(shown.every((header) => header === undefined)).toBe(true);
  expect(between.asked.join()).not.toContain("secret");
  await page.reload();
  await settled(page);
  expect(await dialog.count()).toBe(0);
  // Another tab is asked anew.
  const other = await context.newPage();
  await other.goto(page.url());
  await other.getByRole("dialog", { name: "Say who you are" }).waitFor();
  await close();
  await between.close();
});

test("who looks from now on has their own scope, and nothing of before is left", async () => {
  const known = (await (await fetch(`${url}/api/v1/me`)).json()) as object;
  const bob = { ...known, name: "bob", known_by: "token", sees_everything: false, namespaces: ["team-1"] };
  let good = "e30.alice.c2ln";
  const between = await proxy(url, "", (from, to) => {
    if (!from.url?.startsWith("/api/")) return false;
    if (from.headers["x-weir-authorization"] !== `Bearer ${good}`)
      return problem(to, 401, "unauthorized", "a bearer token is needed");
    if (!good.includes("bob") || !from.url.startsWith("/api/v1/me")) return false;
    to.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(bob));
    return true;
  });
  const { page, close } = await opened(`flows?${ALL}&group_by=ns`, { base: between.base, quiet: REFUSED });
  const dialog = page.getByRole("dialog", { name: "Say who you are" });
  const enter = async () => {
    await dialog.getByLabel("Token", { exact: true }).fill(good);
    await dialog.getByRole("button", { name: "Go on" }).click();
  };
  await dialog.waitFor();
  // It does not go away by Escape, however often.
  for (let times = 0; times < 4; times += 1) await page.keyboard.press("Escape");
  await enter();
  await page.getByRole("button", { name: "You see all flows" }).waitFor();
  // What is still under way would be refused, and ask by itself who it is.
  await settled(page);
  good = "e30.bob.c2ln";
  await page.getByRole("button", { name: "Ask again" }).first().click();
  await dialog.waitFor();
  await enter();
  await page.getByRole("button", { name: "You see 1 namespace" }).waitFor();
  await settled(page);
  expect(await page.getByRole("button", { name: "How?" }).count()).toBe(0);
  await close();
  await between.close();
});

test("a filter that could not be checked, and what is written while it is checked, is not applied", async () => {
  let slow = false;
  const between = await proxy(url, "", (from, to) => {
    if (!slow || !from.url?.startsWith("/api/v1/filter")) return false;
    return problem(to, 429, "busy", "no turn came within 5 s");
  });
  await visit(`flows?${ALL}&group_by=ns`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    slow = true;
    const box = page.getByRole("combobox", { name: "Filter" });
    await box.fill('nss == "x"');
    await box.press("Control+Enter");
    await page.locator("h1").focus();
    await page.getByText("The filter could not be checked").waitFor();
    expect(said(page, "filter")).toBe(null);
    slow = false;
    await box.fill('ns == "team-0"');
    await box.press("Control+Enter");
    await box.press("x");
    await page.waitForURL(/filter=/);
    expect(said(page, "filter")).toBe('ns == "team-0"');
    await settled(page);
  });
  await between.close();
});

test("a part is told of its own time alone", async () => {
  let held: Array<() => void> | undefined;
  const between = await proxy(url, "", (from, to) => {
    if (!held || !from.url?.includes("zone")) return false;
    held.push(() => problem(to, 504, "timeout", "too late"));
    return true;
  });
  await visit(`overview?${ALL}`, { base: between.base, quiet: REFUSED }, async ({ page }) => {
    const share = page.getByRole("listitem").filter({ hasText: "Between zones" }).locator(".number");
    expect(await share.textContent()).toMatch(/%$/);
    held = [];
    await page.keyboard.press("t");
    await page.getByRole("button", { name: "12h" }).click();
    expect(await share.textContent()).toBe("…");
    while (held.length === 0) await page.waitForTimeout(50);
    const waiting = held;
    held = undefined;
    for (const answer of waiting) answer();
    await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
    expect(await share.textContent()).toBe("?");
  });
  await between.close();
});
