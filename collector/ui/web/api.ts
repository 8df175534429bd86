// How the API is asked: a few requests at a time, the same one once, with the token of
// whoever looks. Addresses are relative: the page may stand below any prefix.
import { encode, type Params } from "./question";
import type { Problem } from "./types";

/** A browser has six connections to a host, the collector four turns: some stay free. */
const MOST_AT_A_TIME = 3;
let atATime = 1;

/** Asks so many questions at a time, as far as that leaves some to others. */
export function takeTurns(queries: number): void {
  atATime = Math.max(1, Math.min(MOST_AT_A_TIME, queries));
}
/** How long an answer is good for who asks the same again, in milliseconds. */
const FRESH = 30_000;
const MOST_KEPT = 60;
/** After so long a request that found no turn is tried again, in milliseconds. */
const AGAIN = [1_000, 2_000, 4_000];
const TOKEN = "weir-token";

/** Why there is no answer. */
export class Failed extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
  /** The word of the kind: `filter`, `unauthorized`, `busy` …; `offline` without an answer. */
  get kind(): string {
    return this.problem.type.replace("urn:weir:", "");
  }
}

let token = sessionStorage.getItem(TOKEN) ?? "";
/** Called when somebody has to say who they are; ends when they have. */
let login: (() => Promise<void>) | undefined;

export function onUnauthorized(ask: () => Promise<void>): void {
  login = ask;
}

/** Called when somebody else may look from now on. */
let changed: (() => void) | undefined;

export function onChange(then: () => void): void {
  changed = then;
}

/** Shows this token from now on; it is kept for the tab if that is wanted, else until the page is left. */
export function useToken(text: string, forTab: boolean): void {
  token = text.trim();
  // Answers to somebody else are not theirs.
  kept.clear();
  changed?.();
  sessionStorage.removeItem(TOKEN);
  if (forTab) sessionStorage.setItem(TOKEN, token);
}

export const hasToken = () => token !== "";

/** The address of a page of the API, for people to copy. */
export const addressOf = (page: string) => new URL(`api/v1/${page}`, document.baseURI).href;

/** Who waits for a turn. */
const queue: Array<() => void> = [];
let running = 0;

/** What is asked while somebody writes: it waits for nothing. */
const AT_ONCE = new Set(["filter", "me", "fields"]);

/** Does this when there is a turn; who waits longest has the next one. */
async function turn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  // A turn that ends is handed on, so that nobody comes in between.
  if (running >= atATime) await new Promise<void>((begin) => queue.push(begin));
  else running += 1;
  try {
    signal.throwIfAborted();
    return await work();
  } finally {
    const next = queue.shift();
    if (next) next();
    else running -= 1;
  }
}

type Kept = { at: number; answer: Promise<unknown>; stop: AbortController; wanted: number };
const kept = new Map<string, Kept>();

/** Asks; who asks the same within half a minute gets the same, unless it is to be new. */
export function ask<T>(page: string, params: Params, signal: AbortSignal, round = 0): Promise<T> {
  const query = encode(params);
  const key = `${round} ${page}?${query}`;
  let entry = kept.get(key);
  if (!entry || Date.now() - entry.at > FRESH) {
    const stop = new AbortController();
    const work = () => patiently<T>(page, query, stop.signal);
    const answer = AT_ONCE.has(page) ? work() : turn(work, stop.signal);
    entry = { at: Date.now(), answer, stop, wanted: 0 };
    keep(key, entry);
  }
  return want(key, entry, signal) as Promise<T>;
}

function keep(key: string, entry: Kept): void {
  kept.delete(key);
  kept.set(key, entry);
  // Only answers are good for anybody else.
  entry.answer.catch(() => kept.get(key) === entry && kept.delete(key));
  const [oldest] = kept.keys();
  if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
}

/** The answer, for one of those who want it: when nobody wants it any more it is given up. */
function want(key: string, entry: Kept, signal: AbortSignal): Promise<unknown> {
  entry.wanted += 1;
  return new Promise((resolve, reject) => {
    let open = true;
    const leave = () => {
      if (!open) return;
      open = false;
      entry.wanted -= 1;
      if (entry.wanted === 0) {
        entry.stop.abort();
        if (kept.get(key) === entry) kept.delete(key);
      }
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    const done =
      <A>(settle: (value: A) => void) =>
      (value: A) => {
        if (!open) return;
        open = false;
        signal.removeEventListener("abort", leave);
        settle(value);
      };
    entry.answer.then(done(resolve), done(reject));
  });
}

/** Sends a text of YAML or JSON to be judged; nothing is changed by it, and nothing is kept of the answer. */
export function send<T>(page: string, params: Params, body: string, signal: AbortSignal): Promise<T> {
  return turn(() => patiently<T>(page, encode(params), signal, body), signal);
}

/** Asks again where there was no turn, and when somebody has said who they are. */
async function patiently<T>(page: string, query: string, signal: AbortSignal, body?: string): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    const shown = token;
    try {
      return await once<T>(page, query, signal, body);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      const pause = AGAIN[attempt];
      if (error.kind === "busy" && pause !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, pause));
      } else if (error.kind === "unauthorized" && login) {
        if (shown === token) await login();
      } else {
        throw error;
      }
      signal.throwIfAborted();
    }
  }
}

/** What is sent with every request. */
function headersOf(accept: string): Record<string, string> {
  // The API server's proxy takes `Authorization` away.
  return token === "" ? { accept } : { accept, "x-weir-authorization": `Bearer ${token}` };
}

/** Lines of JSON as they come, from when they begin until the collector ends them or nobody wants them. */
export async function follow(
  page: string,
  params: Params,
  signal: AbortSignal,
  begun: () => void,
  line: (told: unknown) => void,
): Promise<void> {
  const shown = token;
  const response = await fetch(`api/v1/${page}?${encode(params)}`, {
    headers: headersOf("application/x-ndjson"),
    signal,
  });
  if (!response.ok || !response.body) {
    const failed = new Failed(refusal(response.status, await response.text()));
    if (failed.kind === "unauthorized" && login && shown === token) await login();
    throw failed;
  }
  begun();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) if (text.trim() !== "") line(read(text));
  }
}

async function once<T>(page: string, query: string, signal: AbortSignal, body?: string): Promise<T> {
  const accepts = headersOf("application/json");
  const request: RequestInit =
    body === undefined
      ? { headers: accepts, signal }
      : { method: "POST", headers: { ...accepts, "content-type": "application/yaml" }, body, signal };
  let response: Response;
  let text: string;
  try {
    response = await fetch(`api/v1/${page}${query ? `?${query}` : ""}`, request);
    text = await response.text();
  } catch (error) {
    signal.throwIfAborted();
    throw new Failed(problem("offline", 0, String(error)));
  }
  if (response.ok) return read(text) as T;
  throw new Failed(refusal(response.status, text));
}

function refusal(status: number, text: string): Problem {
  try {
    const told = JSON.parse(text) as Problem;
    if (typeof told.type === "string" && typeof told.detail === "string") return told;
  } catch {
    // A proxy answered, not the collector.
  }
  return problem("proxy", status, text.slice(0, 300));
}

const problem = (kind: string, status: number, detail: string): Problem => ({
  type: `urn:weir:${kind}`,
  title: "",
  status,
  detail,
});

/** JSON; numbers that a double cannot hold stay text. */
export function read(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
      ? context.source
      : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}

/** Why there is no answer, also where it was not the collector that said so. */
export const failedBy = (error: unknown, kind: "page" | "offline" = "page"): Failed =>
  error instanceof Failed ? error : new Failed(problem(kind, 0, String(error)));
