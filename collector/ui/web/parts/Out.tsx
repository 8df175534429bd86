// What leaves the page: links, the same question for a shell, files.
import { useRef } from "preact/hooks";
import { addressOf } from "../api";
import { command, curl, encode, type Params } from "../question";
import type { Row } from "../types";
import { copy, type Item, linkToThisMoment, openMenu } from "./Menu";

/** Longer addresses are cut by programs on their way. */
const LONGEST_LINK = 6 << 10;

/** What a page asks: the command, the page of the API, and the parameters. */
export type Asks = { verb: string; page: string; params: Params };

export function Out({ asks, rows, columns, name }: { asks?: Asks; rows?: Row[]; columns?: string[]; name: string }) {
  const button = useRef<HTMLButtonElement>(null);
  const long = location.href.length > LONGEST_LINK;
  const items: Item[] = [
    ...(long
      ? []
      : [
          { text: "Copy link", run: () => void copy(location.href) },
          { text: "Copy link to this moment", run: () => void copy(linkToThisMoment()) },
        ]),
    ...(asks
      ? [
          {
            text: long ? "Copy command (the link is too long)" : "Copy command",
            run: () => void copy(command(asks.verb, asks.params)),
          },
          { text: "Copy curl", run: () => void copy(curl(addressOf(asks.page), asks.params)) },
          { text: "Copy CEL", run: () => void copy(String(asks.params["filter"] ?? "")) },
          { text: "Copy address of the API", run: () => void copy(`${addressOf(asks.page)}?${encode(asks.params)}`) },
        ]
      : []),
    ...(rows && columns
      ? [
          { text: "Save what is shown as CSV", run: () => save(`${name}.csv`, "text/csv", csv(rows, columns)) },
          {
            text: "Save what is shown as JSON",
            run: () => save(`${name}.json`, "application/json", JSON.stringify(rows, null, 1)),
          },
        ]
      : []),
  ];
  return (
    <button
      type="button"
      ref={button}
      aria-haspopup="menu"
      onClick={() => button.current && openMenu(button.current, "Out", items)}
    >
      Out ▾
    </button>
  );
}

/** As RFC 4180 has it, and as the collector writes it. */
export function csv(rows: Row[], columns: string[]): string {
  const cell = (value: unknown) => {
    const text = Array.isArray(value)
      ? value.join(" ")
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((row) => columns.map((column) => cell(row[column])).join(","));
  return `${[columns.join(","), ...lines].join("\n")}\n`;
}

export function save(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
