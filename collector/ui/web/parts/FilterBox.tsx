// The filter: its text, what is wrong with it, how it may go on, and its conditions one by
// one. The server alone says what is right; nothing is applied that it does not accept.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, Failed } from "../api";
import { chip, has, join, negated, terms, toggled } from "../cel";
import { fields, go, question } from "../state";
import type { FilterAnswer, FilterFault, ValuesAnswer } from "../types";
import { QUICK } from "../words";
import { said } from "./Menu";

type Option = { text: string; hint: string; insert: string };
type Offer = { from: number; to: number; options: Option[] };

/** A pause in writing, in milliseconds, after which the server is asked. */
const PAUSE = 150;
const HISTORY = "weir-filters";

export function FilterBox() {
  const applied = question.value.filter;
  const text = useSignal(applied);
  const fault = useSignal<FilterFault | undefined>(undefined);
  const offer = useSignal<Offer | undefined>(undefined);
  const active = useSignal(-1);
  const box = useRef<HTMLInputElement>(null);
  const asking = useRef<AbortController>(new AbortController());
  const applying = useRef<AbortController>(new AbortController());
  useEffect(() => {
    text.value = applied;
    fault.value = undefined;
  }, [applied]);

  const look = (delay: number) => {
    asking.current.abort();
    asking.current = new AbortController();
    const { signal } = asking.current;
    const timer = setTimeout(async () => {
      const at = [...text.value.slice(0, box.current?.selectionStart ?? text.value.length)].length;
      const told = await checked(text.value, at, signal);
      if (signal.aborted || !told) return;
      fault.value = text.value.trim() === "" ? undefined : told.error;
      active.value = -1;
      offer.value = document.activeElement === box.current ? await offered(told, at, signal) : undefined;
    }, delay);
    signal.addEventListener("abort", () => clearTimeout(timer));
  };
  const apply = async () => {
    offer.value = undefined;
    asking.current.abort();
    applying.current.abort();
    applying.current = new AbortController();
    // What was entered is asked, whatever is written meanwhile.
    const entered = text.value.trim();
    const { signal } = applying.current;
    const told = entered === "" ? ({} as Partial<FilterAnswer>) : await checked(entered, undefined, signal);
    if (signal.aborted) return;
    if (!told) said.value = "The filter could not be checked; it is not applied.";
    else if (told.error) {
      fault.value = told.error;
      said.value = told.error.message;
    } else {
      remember(entered);
      go({ filter: entered });
    }
  };
  const accept = (option: Option) => {
    const now = offer.value;
    if (!now) return;
    const letters = [...text.value];
    text.value = [...letters.slice(0, now.from), option.insert, ...letters.slice(now.to)].join("");
    const end = letters.slice(0, now.from).join("").length + option.insert.length;
    offer.value = undefined;
    queueMicrotask(() => {
      box.current?.focus();
      box.current?.setSelectionRange(end, end);
      look(0);
    });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const options = offer.value?.options ?? [];
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length > 0) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      active.value = Math.max(-1, Math.min(options.length - 1, active.value + step));
    } else if (event.key === "ArrowDown") {
      look(0);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = options[active.value];
      if (option && !event.ctrlKey && !event.metaKey) accept(option);
      else void apply();
    } else if (event.key === "Escape") {
      if (offer.value) offer.value = undefined;
      else text.value = applied;
      fault.value = undefined;
    }
  };
  const dirty = text.value.trim() !== applied;
  return (
    <div class="filter">
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          void apply();
        }}
      >
        <label class="hidden" for="filter">
          Filter, in CEL
        </label>
        <input
          id="filter"
          ref={box}
          type="text"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder='Filter, such as ns == "shop" && dst_port == 443'
          value={text.value}
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={offer.value !== undefined}
          aria-controls="filter-options"
          aria-activedescendant={active.value >= 0 ? `filter-option-${active.value}` : undefined}
          aria-invalid={fault.value !== undefined}
          aria-describedby={fault.value ? "filter-fault" : undefined}
          onInput={(event) => {
            text.value = event.currentTarget.value;
            look(PAUSE);
          }}
          onKeyDown={onKeyDown}
          onBlur={() => {
            offer.value = undefined;
            asking.current.abort();
          }}
        />
        <button
          type="submit"
          class={dirty ? "dirty" : ""}
          aria-label={dirty ? "Apply the filter, which was changed" : "Apply the filter"}
        >
          Apply
        </button>
      </form>
      <ul id="filter-options" role="listbox" aria-label="How the filter may go on" hidden={!offer.value}>
        {offer.value?.options.map((option, at) => (
          <li
            key={option.text}
            id={`filter-option-${at}`}
            role="option"
            aria-selected={at === active.value}
            onMouseDown={(event) => {
              event.preventDefault();
              accept(option);
            }}
          >
            <code>{option.text}</code> <span>{option.hint}</span>
          </li>
        ))}
      </ul>
      {fault.value && (
        <Fault
          text={text.value}
          fault={fault.value}
          onMend={(mended) => {
            text.value = mended;
            fault.value = undefined;
            box.current?.focus();
          }}
        />
      )}
    </div>
  );
}

/** The filter with what is wrong underlined. */
function Fault({ text, fault, onMend }: { text: string; fault: FilterFault; onMend: (text: string) => void }) {
  const letters = [...text];
  const from = fault.column - 1;
  const to = from + Math.max(1, fault.length);
  return (
    <div class="fault" id="filter-fault">
      <code>
        {letters.slice(0, from).join("")}
        <mark>{letters.slice(from, to).join("") || " "}</mark>
        {letters.slice(to).join("")}
      </code>
      <span>{fault.message}</span>
      {fault.suggest.map((one) => (
        <button type="button" key={one.value} onClick={() => onMend(one.value)}>
          {one.text}
        </button>
      ))}
    </div>
  );
}

/** The conditions that are joined, those that are set aside, and what is often wanted. */
export function Chips() {
  const { filter, off } = question.value;
  const parts = terms(filter);
  const instead = (at: number, ...by: string[]) => join(parts.toSpliced(at, 1, ...by));
  const swap = async () => {
    const told = await checked(filter, undefined, new AbortController().signal);
    if (told?.mirrored) go({ filter: told.mirrored });
    else said.value = "This filter has no other direction.";
  };
  return (
    <div class="chips">
      <ul aria-label="Conditions">
        {parts.map((part, at) => (
          <li key={part} class="chip">
            <ChipText part={part} />
            <button
              type="button"
              aria-label={`The opposite of ${part}`}
              title="The opposite"
              onClick={() => go({ filter: instead(at, negated(part)) })}
            >
              ≠
            </button>
            <button
              type="button"
              aria-label={`Set ${part} aside`}
              title="Set aside"
              onClick={() => go({ filter: instead(at), off: [...off, part] })}
            >
              ○
            </button>
            <button
              type="button"
              aria-label={`Remove ${part}`}
              title="Remove"
              onClick={() => go({ filter: instead(at) })}
            >
              ✕
            </button>
          </li>
        ))}
        {off.map((part, at) => (
          <li key={`off ${part}`} class="chip off">
            <ChipText part={part} />
            <button
              type="button"
              aria-label={`Take ${part} back in`}
              title="Take back in"
              onClick={() => go({ filter: join([...parts, part]), off: off.toSpliced(at, 1) })}
            >
              ●
            </button>
            <button
              type="button"
              aria-label={`Remove ${part}`}
              title="Remove"
              onClick={() => go({ off: off.toSpliced(at, 1) })}
            >
              ✕
            </button>
          </li>
        ))}
      </ul>
      {filter !== "" && (
        <button type="button" class="link" onClick={() => void swap()}>
          Other direction
        </button>
      )}
      <div class="quick" role="group" aria-label="Quick filters">
        {QUICK.map(([name, conditions]) => (
          <button
            type="button"
            key={name}
            aria-pressed={has(filter, conditions)}
            title={conditions.join(" && ")}
            onClick={() => go({ filter: toggled(filter, conditions) })}
          >
            {name}
          </button>
        ))}
      </div>
    </div>
  );
}

function ChipText({ part }: { part: string }) {
  const { field, op, value } = chip(part);
  if (!field) return <code>{part}</code>;
  return (
    <code>
      {field} <em>{op === "==" ? "=" : op}</em> {value || "(empty)"}
    </code>
  );
}

async function checked(filter: string, at: number | undefined, signal: AbortSignal): Promise<FilterAnswer | undefined> {
  try {
    // Behind no character `at` is 0, which is not left out.
    return await ask<FilterAnswer>("filter", { filter, at: at === undefined ? undefined : String(at) }, signal);
  } catch (error) {
    if (error instanceof Failed) said.value = error.problem.detail;
    return;
  }
}

/** What may stand where the cursor is. */
async function offered(told: FilterAnswer, at: number, signal: AbortSignal): Promise<Offer | undefined> {
  const completion = told.completion;
  if (!completion) return undefined;
  const from = completion.column - 1;
  if (completion.values_of === undefined) {
    const options = completion.fields.slice(0, 12).map((name) => fieldOption(name));
    const recent =
      from === 0 && at === 0 ? recentFilters().map((text) => ({ text, hint: "asked before", insert: text })) : [];
    return options.length + recent.length > 0 ? { from, to: at, options: [...recent, ...options] } : undefined;
  }
  try {
    const { since, until } = question.peek();
    const values = await ask<ValuesAnswer>(
      "values",
      { field: completion.values_of, prefix: completion.prefix, since, until, limit: 12 },
      signal,
    );
    const options = values.values.map(({ value, count }) => ({
      text: value,
      hint: `${count}`,
      insert: JSON.stringify(value),
    }));
    return options.length > 0 ? { from, to: at, options } : undefined;
  } catch {
    return undefined;
  }
}

function fieldOption(name: string): Option {
  const field = fields.peek().get(name);
  const hint = [field?.type, field?.filled === false ? "not filled yet" : field?.description || field?.unit]
    .filter(Boolean)
    .join(" · ");
  return { text: name, hint, insert: name };
}

function recentFilters(): string[] {
  try {
    return (JSON.parse(localStorage.getItem(HISTORY) ?? "[]") as string[]).slice(0, 5);
  } catch {
    return [];
  }
}

function remember(filter: string): void {
  if (filter.trim() === "") return;
  const kept = [filter.trim(), ...recentFilters().filter((text) => text !== filter.trim())];
  localStorage.setItem(HISTORY, JSON.stringify(kept.slice(0, 50)));
}
