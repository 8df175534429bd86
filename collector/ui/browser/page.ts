// What all tests of the page do: open it in a fresh context and see to it that nothing is
// refused by its policy, fails unseen, or goes elsewhere.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { inject } from "vitest";

export const url = inject("url");
export const PAGES = [
  "overview",
  "flows",
  "topology",
  "matrix",
  "sankey",
  "nodes",
  "export",
  "status",
  "policies",
  "flowmetrics",
];
/** Everything that the store has. */
export const ALL = "since=6h";

let browser: Promise<Browser> | undefined;

export function launched(): Promise<Browser> {
  browser ??= chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  return browser;
}

export const closeBrowser = async () => (await browser)?.close();

export type Opened = {
  page: Page;
  context: BrowserContext;
  wrong: string[];
  asked: string[];
  close: () => Promise<void>;
};
export type Look = {
  theme?: "light" | "dark";
  width?: number;
  height?: number;
  base?: string;
  quiet?: RegExp;
  setup?: (context: BrowserContext) => Promise<void>;
};

/** A page in a context of its own; `wrong` has what nobody should see. */
export async function opened(
  path: string,
  { theme = "light", width = 1280, height = 900, base = url, quiet, setup }: Look = {},
): Promise<Opened> {
  const context = await (await launched()).newContext({
    viewport: { width, height },
    colorScheme: theme,
    timezoneId: "UTC",
    reducedMotion: "reduce",
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(base).origin });
  await setup?.(context);
  // A machine that builds beside has little time for a browser.
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const [wrong, asked]: string[][] = [[], []];
  const note = (text: string) => {
    if (!quiet?.test(text)) wrong?.push(text);
  };
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && note(message.text()));
  page.on("pageerror", (error) => note(String(error)));
  page.on("request", (request) => asked?.push(request.url()));
  await page.goto(`${base}/${path}`);
  return { page, context, wrong: wrong ?? [], asked: asked ?? [], close: () => context.close() };
}

/** Waits until nothing is asked any more. */
export async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    () =>
      document.querySelector("main .answer, main form") !== null &&
      document.querySelector('[aria-busy="true"]') === null &&
      document.querySelector("main .skeleton") === null,
  );
}

export async function visit<T>(path: string, look: Look, what: (opened: Opened) => Promise<T>): Promise<T> {
  const one = await opened(path, look);
  try {
    await settled(one.page);
    const result = await what(one);
    if (one.wrong.length > 0) throw new Error(`${path}: ${one.wrong.join("; ")}`);
    return result;
  } finally {
    await one.close();
  }
}

const run = (words: string[]) =>
  execFileSync(inject("weir"), [...words, "--server", url, "-o", "json"], {
    env: { ...process.env, KUBECONFIG: "/nonexistent" },
  }).toString();

/** What the command line says to the same question. */
export const weir = (...words: string[]): unknown => JSON.parse(run(words));

/** Records, of which it prints one a line. */
export const weirLines = (...words: string[]) =>
  run(words)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

export const path = (page: string, params: Record<string, string>) => `${page}?${new URLSearchParams(params)}`;
/** What the address of a page says. */
export const said = (page: Page, key: string) => new URL(page.url()).searchParams.get(key);

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong, told in a line each. It is put in past the page's policy. */
export async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await (
      globalThis as unknown as {
        axe: {
          run: (
            on: Document,
            options: object,
          ) => Promise<{
            violations: Array<{ id: string; nodes: Array<{ target: string[]; failureSummary?: string }> }>;
          }>;
        };
      }
    ).axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return violations.flatMap(({ id, nodes }) =>
      nodes
        .slice(0, 3)
        .map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary?.replaceAll("\n", " ") ?? ""}`),
    );
  });
}
