// A table that is walked with the arrows: one stop for Tab, the rest by keys. Its values
// have a menu; its heads order it.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { visible } from "../format";
import type { Row, Value } from "../types";
import { onValueClick, onValueKey, said } from "./Menu";
import { type Spot, useStop, within } from "./spot";

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

export type Cell = {
  text: ComponentChildren;
  title?: string | undefined;
  value?: Value | undefined;
  /** Where the cell leads. */
  href?: string;
};

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
  const spot = useSignal<Spot>({ row: 0, column: 0 });
  const shift = onOpen ? 1 : 0;
  const width = columns.length + shift;
  const height = rows.length + 1;
  const move = (to: Spot) => {
    spot.value = within(to, height, width);
    const target = table.current?.rows[spot.value.row]?.cells[spot.value.column];
    (target?.querySelector<HTMLElement>("button, a") ?? target)?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const at = within(spot.peek(), height, width);
    const step = steps(event, at, height, width);
    if (step) {
      event.preventDefault();
      return move(step);
    }
    const column = columns[at.column - shift];
    const row = rows[at.row - 1];
    if (row && column?.field) onValueKey(event, column.field, cell(row, column).value);
  };
  const click = (event: MouseEvent, column: Column, value: Value | undefined, at: Spot) => {
    spot.value = at;
    if (column.field) onValueClick(event, column.field, value);
  };
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
          <GridHead {...{ columns, spot, height, width, shift, openLabel }} />
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <GridRow
              key={index}
              {...{ row, index, columns, cell, spot, height, width, openLabel, onOpen, click }}
              opened={opened === index}
            />
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

type Place = { spot: Signal<Spot>; height: number; width: number; openLabel: string };

function GridHead({ columns, spot, height, width, shift, openLabel }: Place & { columns: Column[]; shift: number }) {
  const stop = useStop(spot, 0, height, width);
  const tab = (place: number) => (place === stop ? 0 : -1);
  return (
    <tr aria-rowindex={1}>
      {shift > 0 && (
        <th scope="col" tabIndex={tab(0)}>
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
          tabIndex={column.sort ? undefined : tab(place + shift)}
        >
          {column.sort ? (
            <button
              type="button"
              tabIndex={tab(place + shift)}
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
  );
}

type RowProps = Place & {
  row: Row;
  index: number;
  columns: Column[];
  cell: (row: Row, column: Column) => Cell;
  onOpen: ((row: Row, at: number) => void) | undefined;
  opened: boolean;
  click: (event: MouseEvent, column: Column, value: Value | undefined, at: Spot) => void;
};

function GridRow({ row, index, columns, cell, spot, height, width, openLabel, onOpen, opened, click }: RowProps) {
  const stop = useStop(spot, index + 1, height, width);
  const tab = (place: number) => (place === stop ? 0 : -1);
  const shift = onOpen ? 1 : 0;
  return (
    <tr aria-rowindex={index + 2} class={opened ? "opened" : ""}>
      {onOpen && (
        <td class="opener">
          <button
            type="button"
            tabIndex={tab(0)}
            aria-label={`${openLabel} of row ${index + 1}`}
            aria-expanded={opened}
            onClick={() => {
              spot.value = { row: index + 1, column: 0 };
              onOpen(row, index);
            }}
          >
            ▸
          </button>
        </td>
      )}
      {columns.map((column, place) => {
        const { text: given, title, value, href } = cell(row, column);
        const text = typeof given === "string" ? visible(given) : given;
        return (
          <td
            key={column.name}
            tabIndex={href === undefined ? tab(place + shift) : undefined}
            title={title ?? (typeof text === "string" ? text : undefined)}
            class={`${column.number ? "number" : ""} ${column.field ? "value" : ""}`}
            aria-haspopup={column.field ? "menu" : undefined}
            onClick={(event) => click(event, column, value, { row: index + 1, column: place + shift })}
          >
            {href === undefined ? (
              text
            ) : (
              <a href={href} tabIndex={tab(place + shift)}>
                {text}
              </a>
            )}
          </td>
        );
      })}
    </tr>
  );
}

/** Where a key leads. */
export function steps(event: KeyboardEvent, at: Spot, height: number, width: number, page = 10): Spot | undefined {
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
      return { row: row - page, column };
    case "PageDown":
      return { row: row + page, column };
    case "Home":
      return event.ctrlKey ? { row: 0, column: 0 } : { row, column: 0 };
    case "End":
      return event.ctrlKey ? { row: height - 1, column: width - 1 } : { row, column: width - 1 };
    default:
      return undefined;
  }
}
