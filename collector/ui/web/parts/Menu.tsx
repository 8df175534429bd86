// The menu of a value, and what is said in passing. There is one of each on the page.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { equals, not, only } from "../cel";
import { carried } from "../question";
import { addressOf, frozen, go, kindOf, open, question } from "../state";
import type { Value } from "../types";
import { fieldTitle } from "../words";

export type Item = { text: string; run: () => void; key?: string };
/** How long what is said can be read, in milliseconds. */
const SAID_FOR = 4000;

type Open = { items: Item[]; title: string; opener: HTMLElement };

const shown = signal<Open | undefined>(undefined);
/** Said politely to those who listen to the page. */
export const said = signal("");

export function openMenu(opener: HTMLElement, title: string, items: Item[]): void {
  shown.value = { opener, title, items };
}

const simple = (value: Value | undefined) => (typeof value === "object" ? undefined : value);

/** The filter with only this value, or without it. */
export function filterBy(how: "only" | "not", field: string, value: Value | undefined): void {
  const change = how === "only" ? only : not;
  const values = Array.isArray(value) ? value : [simple(value)];
  const filter = values.reduce<string>(
    (filter, one) => change(filter, field, one, kindOf(field)),
    question.peek().filter,
  );
  go({ filter });
}

/** What can be done with a value of a field. */
export function valueItems(field: string, value: Value | undefined): Item[] {
  const text = Array.isArray(value) ? value.join(" ") : String(simple(value) ?? "");
  const condition = equals(field, Array.isArray(value) ? value[0] : simple(value), kindOf(field));
  const isText = text !== "";
  return [
    { text: "Only this", key: "f", run: () => filterBy("only", field, value) },
    { text: "Not this", key: "x", run: () => filterBy("not", field, value) },
    ...(isText ? [{ text: "Copy value", key: "c", run: () => void copy(text) }] : []),
    { text: "Copy as CEL", run: () => void copy(condition) },
    ...["flows", "matrix"].map((to) => ({
      text: `Open in ${to === "flows" ? "Flows" : "Matrix"}`,
      run: () =>
        open(
          addressOf(to, {
            ...carried(question.peek()),
            filter: only(question.peek().filter, field, simple(value), kindOf(field)),
          }),
        ),
    })),
  ];
}

/** What keys do with a value that has the focus; false: the key is no such one. */
export function onValueKey(event: KeyboardEvent, field: string, value: Value | undefined): boolean {
  if (event.ctrlKey || event.metaKey) return false;
  switch (event.key) {
    case "Enter":
      openValueMenu(event.target as HTMLElement, field, value);
      break;
    case "f":
      filterBy("only", field, value);
      break;
    case "x":
      filterBy("not", field, value);
      break;
    case "c":
      void copy(String(value ?? ""));
      break;
    default:
      return false;
  }
  event.preventDefault();
  event.stopPropagation();
  return true;
}

/** What a click does with a value: with Alt it is left out. */
export function onValueClick(event: MouseEvent, field: string, value: Value | undefined): void {
  if (String(getSelection() ?? "") !== "") return;
  if (event.altKey) filterBy("not", field, value);
  else openValueMenu(event.currentTarget as HTMLElement, field, value);
}

export function openValueMenu(opener: HTMLElement, field: string, value: Value | undefined): void {
  openMenu(opener, fieldTitle(field), valueItems(field, value));
}

export function Menu() {
  const popover = useRef<HTMLDivElement>(null);
  const now = shown.value;
  useEffect(() => {
    const element = popover.current;
    if (!now || !element) return;
    element.showPopover();
    place(element, now.opener.getBoundingClientRect());
    element.querySelector("button")?.focus();
  }, [now]);
  const close = () => popover.current?.hidePopover();
  const onToggle = (event: { newState: string }) => {
    if (event.newState !== "closed" || !now) return;
    // Focus goes back to where it came from, unless it is elsewhere already.
    if (
      !document.activeElement ||
      document.activeElement === document.body ||
      popover.current?.contains(document.activeElement)
    )
      now.opener.focus();
    shown.value = undefined;
  };
  return (
    <div
      class="menu"
      popover="auto"
      role="menu"
      aria-label={now?.title ?? "Menu"}
      ref={popover}
      onToggle={onToggle}
      onKeyDown={walk}
    >
      {now?.items.map((item) => (
        <button
          type="button"
          role="menuitem"
          tabIndex={-1}
          key={item.text}
          onClick={() => {
            close();
            item.run();
          }}
        >
          {item.text}
          {item.key && <kbd>{item.key}</kbd>}
        </button>
      ))}
    </div>
  );
}

function walk(event: KeyboardEvent): void {
  const items = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=menuitem]")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Tab") (event.currentTarget as HTMLElement).hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length)?.focus();
}

/** Below what it belongs to, or above where there is no room, and never outside. */
export function place(element: HTMLElement, by: DOMRect): void {
  const own = element.getBoundingClientRect();
  const below = by.bottom + own.height + 4 <= innerHeight;
  element.style.left = `${Math.max(4, Math.min(by.left, innerWidth - own.width - 4))}px`;
  element.style.top = `${Math.max(4, below ? by.bottom + 2 : by.top - own.height - 2)}px`;
}

const selected = signal<{ text: string; opener: Element | null } | undefined>(undefined);

/** Copies; where pages may not, the text is shown, ready to be copied. */
export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    said.value = "Copied.";
  } catch {
    selected.value = { text, opener: document.activeElement };
  }
}

export function CopyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const now = selected.value;
  useEffect(() => {
    if (!now) return;
    dialog.current?.showModal();
    dialog.current?.querySelector("textarea")?.select();
  }, [now]);
  if (!now) return null;
  return (
    <dialog
      ref={dialog}
      aria-labelledby="copy-title"
      onClose={() => {
        (now.opener as HTMLElement | null)?.focus?.();
        selected.value = undefined;
      }}
    >
      <h2 id="copy-title">Copy this</h2>
      <p>This page may not copy by itself, since it did not come over TLS or from this host.</p>
      <textarea readOnly rows={5} aria-label="Text to copy" value={now.text} />
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

export const linkToThisMoment = () =>
  new URL(addressOf("", frozen(question.peek())) || location.pathname, document.baseURI).href;

/** The polite voice of the page. */
export function Voice() {
  const text = said.value;
  useEffect(() => {
    if (text === "") return;
    const timer = setTimeout(() => {
      said.value = "";
    }, SAID_FOR);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="voice" role="status" aria-live="polite">
      {said.value}
    </div>
  );
}
