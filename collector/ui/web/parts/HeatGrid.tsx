// Cells that are the darker the more there is: one stop for Tab, arrows within.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";

export type Head = { key: string; title: string };
/** What a cell says: its step of heat, its name for those who do not see it, a mark in it. */
export type HeatCell = { step: number; name: string; mark?: string; none?: boolean };

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
  const at = useSignal({ row: 0, column: 0 });
  const move = (row: number, column: number) => {
    at.value = {
      row: Math.max(0, Math.min(rows.length - 1, row)),
      column: Math.max(0, Math.min(columns.length - 1, column)),
    };
    table.current?.tBodies[0]?.rows[at.value.row]?.cells[at.value.column + 1]?.querySelector("button")?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const { row, column } = at.value;
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
  const stop = { row: Math.min(at.value.row, rows.length - 1), column: Math.min(at.value.column, columns.length - 1) };
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
          {rows.map((row, y) => (
            <tr key={row.key}>
              <th scope="row" title={row.title}>
                {row.title}
              </th>
              {columns.map((column, x) => {
                const { step, name, mark = "", none = false } = cell(row, column);
                return (
                  <td key={column.key} class={none ? "none" : step >= 0 ? `h${step}` : ""}>
                    <button
                      type="button"
                      tabIndex={y === stop.row && x === stop.column ? 0 : -1}
                      aria-label={name}
                      title={name}
                      onFocus={() => {
                        at.value = { row: y, column: x };
                      }}
                      onClick={() => onPick(row, column)}
                    >
                      {mark}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
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
