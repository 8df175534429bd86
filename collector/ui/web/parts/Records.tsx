// The records themselves, a page at a time, and all of one beside them.
import { useSignal } from "@preact/signals";
import { ask, Failed } from "../api";
import { exact, measured, time } from "../format";
import { encode, isByTime, type Question, records } from "../question";
import { fields, go, kindOf, question, round, useAsk, utc } from "../state";
import type { FlowsAnswer, Row } from "../types";
import { fieldTitle, measureTitle, UNKNOWN } from "../words";
import { Answer, AnswerLine, Empty } from "./Answer";
import { type Cell, type Column, Grid } from "./Grid";
import { Out } from "./Out";
import { RecordPanel } from "./RecordPanel";

/** Columns of records when nobody chose any. */
const USUAL = [
  "time",
  "ns",
  "name",
  "addr",
  "port",
  "dst_ns",
  "dst_name",
  "dst_addr",
  "dst_port",
  "protocol",
  "bytes",
  "packets",
  "verdict",
];
/** The columns that are wanted. */
export const columnsOf = (asked: Question) => (asked.columns.length > 0 ? asked.columns : USUAL);

const NUMBERS = new Set(["bytes", "packets", "dropped_bytes", "dropped_packets"]);

export function recordColumns(names: string[]): Column[] {
  return names.map((name) => ({
    name,
    title: NUMBERS.has(name) ? measureTitle(name) : fieldTitle(name),
    hint: `${name}: ${fields.value.get(name)?.description ?? ""}`,
    number: NUMBERS.has(name),
    ...(kindOf(name) === "map" ? {} : { field: name }),
  }));
}

export function recordCell(row: Row, { name, number }: Column): Cell {
  const value = row[name];
  return number
    ? { text: measured(row, name, utc.value), title: exact(value as string), value }
    : { text: shownValue(row, name), value };
}

/** Records that are shown at once. */
const MOST = 2000;

export function Records() {
  const asked = question.value;
  // The panel shows all of a record, so that all of it is asked for.
  const params = { ...records(asked), columns: [] as string[] };
  const first = useAsk<FlowsAnswer>("flows", params);
  const more = useSignal<{ key: string; rows: Row[]; cursor: string | undefined; failed?: Failed } | undefined>(
    undefined,
  );
  const key = `${round.value.number} ${encode(params)}`;
  const columns = columnsOf(asked);
  const opened = useSignal<Row | undefined>(undefined);
  const load = async (cursor: string, rows: Row[]) => {
    try {
      const page = await ask<FlowsAnswer>("flows", { ...params, cursor }, new AbortController().signal);
      more.value = { key, rows: [...rows, ...page.rows], cursor: page.cursor };
    } catch (error) {
      if (error instanceof Failed) more.value = { key, rows, cursor, failed: error };
    }
  };
  return (
    <Answer of={first} empty={({ rows }) => (rows.length === 0 ? <Empty /> : undefined)}>
      {({ rows, cursor, notes, stats }) => {
        const further = more.value?.key === key ? more.value : { key, rows: [], cursor };
        const all = [...rows, ...further.rows];
        return (
          <div class="with-side">
            <div>
              <Grid
                label="Records"
                rows={all}
                opened={opened.value && all.indexOf(opened.value)}
                openLabel="Record"
                onOpen={(row) => {
                  opened.value = opened.value === row ? undefined : row;
                }}
                columns={recordColumns(columns)}
                cell={recordCell}
              />
              <p class="buttons">
                {further.cursor && all.length < MOST && (
                  <button type="button" onClick={() => void load(further.cursor ?? "", further.rows)}>
                    Show 100 more
                  </button>
                )}
                {further.cursor && all.length >= MOST && (
                  <span class="hint">
                    More than {MOST} records are not shown here:{" "}
                    {isByTime(asked) ? (
                      <button type="button" class="link" onClick={() => go({ show: "all" })}>
                        scroll through all
                      </button>
                    ) : (
                      "choose a shorter time"
                    )}
                    , or group them.
                  </span>
                )}
                {"failed" in further && further.failed && <span class="trouble">{further.failed.problem.detail}</span>}
                <Out
                  asks={{ verb: "flows", page: "flows", params: records(asked) }}
                  rows={all}
                  columns={columns}
                  name="flows"
                />
              </p>
              <AnswerLine
                text={`${all.length} records${further.cursor ? ", there are more" : ""}`}
                notes={notes.filter((one) => one.kind !== "truncated")}
                stats={stats}
              />
            </div>
            {opened.value && (
              <RecordPanel
                row={opened.value}
                onClose={() => {
                  opened.value = undefined;
                }}
              />
            )}
          </div>
        );
      }}
    </Answer>
  );
}

/** A value as a table shows it. */
export function shownValue(row: Row, name: string): string {
  const value = row[name];
  if (value === undefined || value === "") return UNKNOWN;
  if (kindOf(name) === "time") return time(value, utc.value);
  return Array.isArray(value)
    ? value.join(" ")
    : typeof value === "object"
      ? Object.entries(value)
          .map(([key, of]) => `${key}=${of}`)
          .join(" ")
      : String(value);
}
