// What the whole page shares: its address, the fields that there are, who looks, and when
// it asked last. The address is the only state of a question.
import { computed, effect, signal, untracked, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import names from "../pages.txt?raw";
import { ask, type Failed, failedBy, send, takeTurns } from "./api";
import type { Kind } from "./cel";
import { age } from "./format";
import { carried, encode, type Params, parse, type Question, searchOf, write } from "./question";
import { type Range, rangeOf, writeMoment } from "./span";
import type { FieldAnswer, FieldsAnswer, MeAnswer } from "./types";

export const PAGES = names.trim().split("\n");

const here = signal(location.pathname + location.search);

/** The page that is shown. */
export const page = computed(() => {
  const name = here.value.split("?")[0]?.split("/").at(-1) ?? "";
  return PAGES.includes(name) ? name : (PAGES[0] ?? "");
});

export const question = computed(() => parse(searchOf(here.value)));

/** The address of a page that asks something; relative, as all are. */
export function addressOf(name: string, asked: Question): string {
  const query = write(asked);
  return query ? `${name}?${query}` : name;
}

/** Asks something else: a step that the browser can go back. */
export function go(change: Partial<Question>, to = page.peek()): void {
  const from = to === page.peek() ? question.peek() : carried(question.peek());
  open(addressOf(to, { ...from, ...change }));
}

export function open(address: string): void {
  const url = new URL(address, document.baseURI);
  if (url.pathname + url.search === here.peek()) return;
  history.pushState(null, "", url);
  here.value = url.pathname + url.search;
}

addEventListener("popstate", () => {
  here.value = location.pathname + location.search;
});

/** Follows links to pages of ours without loading anything. */
export function followLinks(event: MouseEvent): void {
  const link = (event.target as Element).closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.origin !== location.origin) return;
  const folder = (path: string) => path.slice(0, path.lastIndexOf("/") + 1);
  const name = link.pathname.slice(folder(link.pathname).length);
  if (link.hash || folder(link.pathname) !== folder(location.pathname) || !(name === "" || PAGES.includes(name)))
    return;
  event.preventDefault();
  open(link.href);
}

/** The clock of the collector is so far ahead of this one, in milliseconds. */
const clockAhead = signal(0);
/** The time at the collector, in milliseconds: what was ago is counted there. */
export const now = () => Date.now() + clockAhead.peek();

/** How long ago a time is, as the collector counts. */
export const ago = (at: string | undefined) => (at ? `${age((now() - Date.parse(at)) / 1000)} ago` : "never");

/** How often was asked anew, and when; relative times are counted from there. */
export const round = signal({ number: 0, at: now() });
export const again = () => {
  round.value = { number: round.peek().number + 1, at: now() };
};
// Another question is asked as of now.
effect(() => {
  void here.value;
  untracked(() => {
    round.value = { ...round.peek(), at: now() };
  });
});

/** The range of time that is meant. */
export const range = computed<Range | undefined>(() =>
  rangeOf(question.value.since, question.value.until, round.value.at),
);

/** The range so that who gets the link sees the same later. */
export function frozen(asked: Question): Question {
  const meant = range.peek();
  return meant ? { ...asked, since: writeMoment(meant.since), until: writeMoment(meant.until) } : asked;
}

/** Seconds between questions that are asked anew; 0: when somebody wants it. */
export const every = signal(0);
/** Requests that are under way. */
export const pending = signal(0);
effect(() => {
  if (every.value === 0) return;
  // One that finds another still under way, or nobody who looks, is left out; and a table of all
  // records stays as it was opened.
  const tick = () => {
    const { until, show } = question.peek();
    if (pending.peek() === 0 && !document.hidden && until === "" && show !== "all") again();
  };
  const timer = setInterval(tick, every.value * 1000);
  return () => clearInterval(timer);
});

/** What there is to show of a request. */
export type Asked<T> = {
  answer?: T;
  failed?: Failed;
  waiting: boolean;
  since: number;
  /** What the answer is of. */
  of?: string;
  /** The answer is of what is asked now, not of what was asked before. */
  fresh?: boolean;
};

/** Asks whenever the question is another one; what was answered before stays until then. */
export function useAsk<T>(name: string, params: Params | undefined): Asked<T> {
  const state = useSignal<Asked<T>>({ waiting: params !== undefined, since: Date.now() });
  const number = round.value.number;
  const key = params && encode(params);
  const of = `${number} ${name}?${key}`;
  useEffect(() => {
    if (!params) {
      state.value = { ...state.peek(), waiting: false };
      return;
    }
    const stop = new AbortController();
    const { failed: _, ...before } = state.peek();
    state.value = { ...before, waiting: true, since: Date.now() };
    pending.value += 1;
    ask<T>(name, params, stop.signal, number)
      .then(
        (answer) => {
          state.value = { answer, waiting: false, since: Date.now(), of };
        },
        (error: unknown) => {
          if (stop.signal.aborted) return;
          const failed = failedBy(error);
          state.value = { ...state.peek(), failed, waiting: false };
        },
      )
      .finally(() => {
        pending.value -= 1;
      });
    return () => stop.abort();
  }, [name, key, number]);
  const fresh = state.value.of === of;
  return {
    ...state.value,
    fresh,
    waiting: state.value.waiting || (params !== undefined && !fresh && !state.value.failed),
  };
}

/** What is sent when somebody says so; what was answered before stays until then. */
export function useSend<T>(name: string): {
  asked: Asked<T> | undefined;
  send: (params: Params, body: string) => void;
} {
  const state = useSignal<Asked<T> | undefined>(undefined);
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const ask = (params: Params, body: string) => {
    stop.current?.abort();
    const own = new AbortController();
    stop.current = own;
    const before = state.peek()?.answer;
    const kept = before === undefined ? {} : { answer: before };
    state.value = { ...kept, waiting: true, since: Date.now() };
    pending.value += 1;
    send<T>(name, params, body, own.signal)
      .then(
        (answer) => {
          state.value = { answer, waiting: false, since: Date.now(), fresh: true };
        },
        (error: unknown) => {
          if (!own.signal.aborted) state.value = { failed: failedBy(error), waiting: false, since: Date.now() };
        },
      )
      .finally(() => {
        pending.value -= 1;
      });
  };
  return { asked: state.value, send: ask };
}

/** Fields by name, those of both sides each. */
export const fields = signal(new Map<string, FieldAnswer>());
export const me = signal<MeAnswer | undefined>(undefined);

/** Finds out who looks, and which fields there are. */
export async function begin(): Promise<void> {
  const stop = new AbortController();
  const known = await ask<MeAnswer>("me", {}, stop.signal);
  clockAhead.value = Date.parse(known.time) - Date.now();
  round.value = { ...round.peek(), at: now() };
  me.value = known;
  takeTurns(known.limits.queries);
  const told = await ask<FieldsAnswer>("fields", {}, stop.signal);
  const sides = told.fields.flatMap(
    (field): Array<[string, FieldAnswer]> =>
      field.dst_name
        ? [
            [field.name, field],
            [field.dst_name, field],
          ]
        : [[field.name, field]],
  );
  fields.value = new Map(sides);
}

export const kindOf = (field: string): Kind => (fields.value.get(field)?.type ?? "text") as Kind;

/** What only this browser is to know. */
export type Preferences = { theme: "auto" | "light" | "dark"; keys: boolean };
const STORED = "weir-preferences";
export const preferences = signal<Preferences>({ theme: "auto", keys: true, ...stored() });

function stored(): Partial<Preferences> {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? "{}") as Partial<Preferences>;
  } catch {
    return {};
  }
}

effect(() => {
  localStorage.setItem(STORED, JSON.stringify(preferences.value));
  document.documentElement.dataset["theme"] = preferences.value.theme;
});

export const utc = computed(() => question.value.tz === "utc");
