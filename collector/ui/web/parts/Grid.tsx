// A table that is walked with the arrows: one stop for Tab, the rest by keys. Its values
// have a menu; its heads order it.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type { Row, Value } from "../types";
import { copy, filterBy, openValueMenu, said } from "./Menu";

export type Column = {
  name: string;
  title: string;
  hint?: string;
  number?: boolean;
  /** The field that its values are of; they have a menu then. */
  field?: string;
  /** Its head orders the table. */
  sort?: () => void;
  sorted?: boolean;
};

export type Cell = { text: ComponentChildren; title?: string | undefined; value?: Value | undefined };

export type GridProps = {
  label: string;
  columns: Column[];
  rows: Row[];
  cell: (row: Row, column: Column) => Cell;
  /** Rows that stand behind all, such as what is left over. */
  foot?: Array<{ label: string; row: Row }>;
  /** How many rows there are, where more are known of than shown. */
  all?: number;
  onOpen?: (row: Row, at: number) => void;
  opened?: number | undefined;
  openLabel?: string;
};

const PAGE = 10;
/** Rows that are drawn: each stays in the page. */
const MOST_ROWS = 1000;

export function Grid({
  label,
  columns,
  rows: given,
  cell,
  foot = [],
  all,
  onOpen,
  opened,
  openLabel = "Details",
}: GridProps) {
  const rows = given.slice(0, MOST_ROWS);
  const table = useRef<HTMLTableElement>(null);
  const active = useSignal({ row: 0, column: 0 });
  const width = columns.length + (onOpen ? 1 : 0);
  const height = rows.length + 1;
  const at = { row: Math.min(active.value.row, height - 1), column: Math.min(active.value.column, width - 1) };
  const stop = (row: number, column: number) => (row === at.row && column === at.column ? 0 : -1);
  const move = (row: number, column: number) => {
    const to = { row: Math.max(0, Math.min(height - 1, row)), column: Math.max(0, Math.min(width - 1, column)) };
    active.value = to;
    const cells = table.current?.rows[to.row]?.cells;
    const target = cells?.[to.column];
    const inner = target?.querySelector<HTMLElement>("button");
    (inner ?? target)?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = steps(event, at, height, width);
    if (step) {
      event.preventDefault();
      return move(step.row, step.column);
    }
    const column = columns[at.column - (onOpen ? 1 : 0)];
    const row = rows[at.row - 1];
    if (!row || !column?.field || event.ctrlKey || event.metaKey) return;
    const { value } = cell(row, column);
    const target = event.target as HTMLElement;
    switch (event.key) {
      case "Enter":
        openValueMenu(target, column.field, value);
        break;
      case "f":
        filterBy("only", column.field, value);
        break;
      case "x":
        filterBy("not", column.field, value);
        break;
      case "c":
        void copy(String(value ?? ""));
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const click = (event: MouseEvent, column: Column, value: Value | undefined, row: number, place: number) => {
    active.value = { row, column: place };
    if (!column.field || String(getSelection() ?? "") !== "") return;
    if (event.altKey) filterBy("not", column.field, value);
    else openValueMenu(event.currentTarget as HTMLElement, column.field, value);
  };
  const shift = onOpen ? 1 : 0;
  return (
    <div class="scroll" tabIndex={-1}>
      <table
        role="grid"
        class="grid"
        aria-label={label}
        aria-rowcount={(all ?? rows.length) + 1}
        ref={table}
        onKeyDown={onKeyDown}
      >
        <thead>
          <tr aria-rowindex={1}>
            {onOpen && (
              <th scope="col" tabIndex={stop(0, 0)}>
                <span class="hidden">{openLabel}</span>
              </th>
            )}
            {columns.map((column, place) => (
              <th
                scope="col"
                key={column.name}
                class={column.number ? "number" : ""}
                title={column.hint}
                aria-sort={column.sorted ? "descending" : undefined}
                tabIndex={column.sort ? undefined : stop(0, place + shift)}
              >
                {column.sort ? (
                  <button
                    type="button"
                    tabIndex={stop(0, place + shift)}
                    onClick={() => {
                      said.value = `Ordered by ${column.title}.`;
                      column.sort?.();
                    }}
                  >
                    {column.title}
                    {column.sorted ? " ▾" : ""}
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index} aria-rowindex={index + 2} class={opened === index ? "opened" : ""}>
              {onOpen && (
                <td class="opener">
                  <button
                    type="button"
                    tabIndex={stop(index + 1, 0)}
                    aria-label={`${openLabel} of row ${index + 1}`}
                    aria-expanded={opened === index}
                    onClick={() => {
                      active.value = { row: index + 1, column: 0 };
                      onOpen(row, index);
                    }}
                  >
                    ▸
                  </button>
                </td>
              )}
              {columns.map((column, place) => {
                const { text, title, value } = cell(row, column);
                return (
                  <td
                    key={column.name}
                    tabIndex={stop(index + 1, place + shift)}
                    title={title ?? (typeof text === "string" ? text : undefined)}
                    class={`${column.number ? "number" : ""} ${column.field ? "value" : ""}`}
                    aria-haspopup={column.field ? "menu" : undefined}
                    onClick={(event) => click(event, column, value, index + 1, place + shift)}
                  >
                    {text}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
        {foot.length > 0 && (
          <tfoot>
            {foot.map(({ label: name, row }) => (
              <tr key={name}>
                {onOpen && <td />}
                {columns.map((column, place) => {
                  const { text, title } = place === 0 ? { text: name, title: undefined } : cell(row, column);
                  return (
                    <td key={column.name} class={column.number ? "number" : ""} title={title}>
                      {text}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tfoot>
        )}
      </table>
      {given.length > rows.length && (
        <p class="hint">{given.length - rows.length} more rows are not drawn: choose fewer, or save them.</p>
      )}
    </div>
  );
}

/** Where a key leads. */
function steps(
  event: KeyboardEvent,
  at: { row: number; column: number },
  height: number,
  width: number,
): { row: number; column: number } | undefined {
  const { row, column } = at;
  switch (event.key) {
    case "ArrowUp":
      return { row: row - 1, column };
    case "ArrowDown":
      return { row: row + 1, column };
    case "ArrowLeft":
      return { row, column: column - 1 };
    case "ArrowRight":
      return { row, column: column + 1 };
    case "PageUp":
      return { row: row - PAGE, column };
    case "PageDown":
      return { row: row + PAGE, column };
    case "Home":
      return event.ctrlKey ? { row: 0, column: 0 } : { row, column: 0 };
    case "End":
      return event.ctrlKey ? { row: height - 1, column: width - 1 } : { row, column: width - 1 };
    default:
      return undefined;
  }
}
