// Cells that are the darker the more there is: one stop for Tab, arrows within.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { type Spot, useStop, within } from "./spot";

export type Head = { key: string; title: string };
/** What a cell says: its step of heat, its name for those who do not see it, a mark in it, a look instead of heat. */
export type HeatCell = { step: number; name: string; mark?: string; none?: boolean; look?: string };

type Props = {
  label: string;
  corner: ComponentChildren;
  rows: Head[];
  columns: Head[];
  /** Without heads over each column there is more room. */
  dense?: boolean;
  cell: (row: Head, column: Head) => HeatCell;
  onPick: (row: Head, column: Head) => void;
};

export function HeatGrid({ label, corner, rows, columns, dense = false, cell, onPick }: Props) {
  const table = useRef<HTMLTableElement>(null);
  const spot = useSignal<Spot>({ row: 0, column: 0 });
  const move = (row: number, column: number) => {
    spot.value = within({ row, column }, rows.length, columns.length);
    table.current?.tBodies[0]?.rows[spot.value.row]?.cells[spot.value.column + 1]?.querySelector("button")?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const { row, column } = within(spot.peek(), rows.length, columns.length);
    const to = (
      {
        ArrowUp: [row - 1, column],
        ArrowDown: [row + 1, column],
        ArrowLeft: [row, column - 1],
        ArrowRight: [row, column + 1],
        Home: [row, 0],
        End: [row, columns.length - 1],
      } as Record<string, [number, number]>
    )[event.key];
    if (!to) return;
    event.preventDefault();
    move(...to);
  };
  return (
    <div class="scroll matrix-scroll">
      <table
        class={`matrix ${dense ? "dense" : ""}`}
        role="grid"
        aria-label={label}
        aria-rowcount={rows.length + 1}
        aria-colcount={columns.length + 1}
        ref={table}
        onKeyDown={onKeyDown}
      >
        <thead>
          <tr>
            <th scope="col">{corner}</th>
            {columns.map((column) => (
              <th scope="col" key={column.key} title={column.title}>
                <span>{column.title}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, place) => (
            <HeatRow key={row.key} {...{ row, place, columns, cell, spot, onPick }} height={rows.length} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

type RowProps = Pick<Props, "columns" | "cell" | "onPick"> & {
  row: Head;
  place: number;
  spot: Signal<Spot>;
  height: number;
};

function HeatRow({ row, place, columns, cell, spot, height, onPick }: RowProps) {
  const stop = useStop(spot, place, height, columns.length);
  return (
    <tr>
      <th scope="row" title={row.title}>
        {row.title}
      </th>
      {columns.map((column, x) => {
        const { step, name, mark = "", none = false, look = "" } = cell(row, column);
        return (
          <td key={column.key} class={`${none ? "none" : step >= 0 ? `h${step}` : ""} ${look}`}>
            <button
              type="button"
              tabIndex={x === stop ? 0 : -1}
              aria-label={name}
              title={name}
              onFocus={() => {
                spot.value = { row: place, column: x };
              }}
              onClick={() => onPick(row, column)}
            >
              {mark}
            </button>
          </td>
        );
      })}
    </tr>
  );
}

/** What the steps mean. */
export function Scale({ children }: { children: ComponentChildren }) {
  return (
    <p class="scale">
      <span>less</span>
      {[0, 1, 2, 3, 4, 5, 6].map((step) => (
        <span key={step} class={`step h${step}`} aria-hidden="true" />
      ))}
      <span>{children}</span>
    </p>
  );
}
