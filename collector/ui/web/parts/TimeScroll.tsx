// All records of a time in one table, however many: its scrollbar is time. Only the rows in view
// are drawn, and what is not there yet stands as a blank, never as a wrong row.
import { computed, type ReadonlySignal, type Signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { ask, failedBy } from "../api";
import { exact, time, visible } from "../format";
import { encode, type Params, records, selection } from "../question";
import { bucketOf, lengthOf, writeMoment } from "../span";
import { again, question, range, useAsk, utc } from "../state";
import { heightOf, joined, microsecondLater, ROW, rowAt, stretches, Timeline, topOf } from "../timeline";
import type { FlowsAnswer, QueryAnswer, Row, Value } from "../types";
import { Answer, AnswerLine, Empty, Failure } from "./Answer";
import { type Cell, type Column, steps } from "./Grid";
import { onValueClick, onValueKey } from "./Menu";
import { Out } from "./Out";
import { AT_ONCE, Pages } from "./pages";
import { RecordPanel } from "./RecordPanel";
import { columnsOf, recordCell, recordColumns } from "./Records";
import { drawnOnce, type Spot, useStop, within } from "./spot";

/** Parts into which the time is counted at first. */
const PARTS = 500;
/** The height of the heads, in pixels. */
const HEAD = 44;
/** Rows around those in view that are fetched, too. */
const AROUND = 40;
/** How long one has to stay somewhere before it is fetched, in milliseconds. */
const STAY = 80;

export function TimeScroll() {
  const asked = question.value;
  const meant = range.value;
  const oldestFirst = asked.order === "oldest";
  const bucket = meant ? bucketOf(meant, PARTS) : "1m";
  const frozen = meant ? { since: writeMoment(meant.since), until: writeMoment(meant.until) } : {};
  const own = { ...selection(asked), ...frozen };
  const counts = useAsk<QueryAnswer>("query", {
    ...own,
    measures: ["flows"],
    by: "flows",
    top: 1,
    bucket,
  });
  const columns = columnsOf(asked);
  const wanted = [...new Set(["time", ...columns])];
  const params: Params = { ...records(asked), ...own, columns: wanted };
  const { since: _, until: __, limit: ___, ...rest } = params;
  return (
    <Answer of={counts} empty={({ totals }) => (Number(totals["flows"] ?? 0) === 0 ? <Empty /> : undefined)}>
      {({ rows, notes, stats }) =>
        meant && (
          <>
            <Window
              key={encode(params)}
              rows={rows}
              since={meant.since}
              until={meant.until}
              bucket={lengthOf(bucket) ?? 60_000}
              params={rest}
              columns={recordColumns(columns)}
              oldestFirst={oldestFirst}
            />
            <p class="buttons">
              <Out asks={{ verb: "flows", page: "flows", params: records(asked) }} name="flows" />
            </p>
            <AnswerLine
              text={`Records of ${time(writeMoment(meant.since), utc.value)} to ${time(writeMoment(meant.until), utc.value)}`}
              notes={notes}
              stats={stats}
            />
          </>
        )
      }
    </Answer>
  );
}

type WindowProps = {
  rows: Row[];
  since: number;
  until: number;
  bucket: number;
  params: Params;
  columns: Column[];
  oldestFirst: boolean;
};

function Window({ rows, since, until, bucket, params, columns, oldestFirst }: WindowProps) {
  const pages = useMemo(() => {
    const parts = joined(stretches(rows, { since, until }, bucket, oldestFirst), AT_ONCE);
    return new Pages(new Timeline(parts), params, oldestFirst);
  }, [rows]);
  const viewport = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const first = useSignal(0);
  const view = useSignal(600);
  const spot = useSignal<Spot>({ row: 0, column: 0 });
  const opened = useSignal<Row | undefined>(undefined);
  const scrolled = useRef(0);
  const focusing = useRef(false);
  const { total } = pages.timeline.value;
  const shown = Math.max(1, Math.floor(view.value / ROW));
  const from = Math.max(0, Math.min(Math.floor(first.value), Math.max(0, total - 1)));
  const to = Math.min(total - 1, from + shown + 1);
  void pages.came.value;

  /** Goes to a row, fractions included; the scrollbar follows. */
  const scrollTo = (row: number) => {
    const rows = Math.max(0, pages.timeline.peek().total - view.peek() / ROW);
    first.value = Math.max(0, Math.min(rows, row));
    const element = viewport.current;
    if (!element) return;
    element.scrollTop = topOf(first.value, view.peek(), pages.timeline.peek().total);
    scrolled.current = element.scrollTop;
  };
  useEffect(() => {
    const element = viewport.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      view.value = Math.max(ROW, element.clientHeight - HEAD);
    });
    observer.observe(element);
    // Where the height is scaled, a step of the wheel is still as many rows as elsewhere.
    const onWheel = (event: WheelEvent) => {
      if (event.ctrlKey || event.deltaY === 0 || event.shiftKey) return;
      event.preventDefault();
      scrollTo(first.peek() + event.deltaY / (event.deltaMode === 1 ? 1 : ROW));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", onWheel);
      pages.stop();
    };
  }, [pages]);
  useEffect(() => {
    const timer = setTimeout(() => void pages.want(from - AROUND, to + AROUND), STAY);
    return () => clearTimeout(timer);
  }, [from, to, pages, pages.timeline.value]);
  /** Gives the focus to the cell of the spot, at once or as soon as it is drawn. */
  const focus = () => {
    const row = body.current?.querySelector<HTMLTableRowElement>(`[aria-rowindex="${spot.peek().row + 2}"]`);
    const cell = row?.cells[spot.peek().column];
    (cell?.querySelector("button") ?? cell)?.focus({ preventScroll: true });
    focusing.current = row === null || row === undefined;
  };
  useLayoutEffect(() => {
    if (focusing.current) focus();
  });

  const move = (step: Spot) => {
    spot.value = within(step, total, columns.length + 1);
    const { row } = spot.value;
    if (row < first.peek()) scrollTo(row);
    else if (row > first.peek() + shown - 1) scrollTo(row - shown + 1);
    focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const at = spot.peek();
    const step = steps(event, at, total, columns.length + 1, Math.max(1, shown - 1));
    if (step) {
      event.preventDefault();
      return move(step);
    }
    const [row, column] = [pages.row(at.row), columns[at.column - 1]];
    if (row && column?.field) onValueKey(event, column.field, row[column.name]);
  };
  const open = useMemo(
    () => async (row: Row) => {
      try {
        opened.value = await whole(row, params);
      } catch (error) {
        pages.failed.value = failedBy(error);
      }
    },
    [pages],
  );
  // The row that Tab stops at is one that is drawn.
  const stop = useMemo(
    () =>
      computed((): Spot => {
        const { row, column } = spot.value;
        const last = Math.floor(first.value) + Math.max(1, Math.floor(view.value / ROW));
        return { row: Math.max(Math.ceil(first.value), Math.min(last, row)), column };
      }),
    [pages],
  );
  const at = pages.timeline.value.timeOf(from, oldestFirst);
  return (
    <>
      <p class="buttons">
        <span role="status" class="position">
          Row {exact(from + 1)} of {exact(total)}
          {at === undefined ? "" : ` · ${time(writeMoment(Math.round(at)), utc.value)}`}
        </span>
        <button type="button" onClick={again}>
          Also what came since
        </button>
      </p>
      {pages.failed.value && (
        <>
          <Failure failed={pages.failed.value} />
          <button type="button" onClick={() => pages.retry(from, to)}>
            Fetch it again
          </button>
        </>
      )}
      <div class="with-side">
        <div
          class="time-scroll"
          ref={viewport}
          onScroll={(event) => {
            const { scrollTop } = event.currentTarget;
            if (Math.abs(scrollTop - scrolled.current) < 1) return;
            scrolled.current = scrollTop;
            first.value = rowAt(scrollTop, view.peek(), pages.timeline.peek().total);
          }}
        >
          <div class="sizer" style={{ height: `${heightOf(total) + HEAD}px` }}>
            <div class="window" style={{ height: `${Math.min(view.value, total * ROW) + HEAD}px` }}>
              <table role="grid" class="grid" aria-label="All records" aria-rowcount={total + 1} onKeyDown={onKeyDown}>
                <thead>
                  <tr aria-rowindex={1}>
                    <th scope="col">
                      <span class="hidden">Record</span>
                    </th>
                    {columns.map((column) => (
                      <th scope="col" key={column.name} class={column.number ? "number" : ""} title={column.hint}>
                        {column.title}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody ref={body} style={{ transform: `translateY(${-Math.round((first.value - from) * ROW)}px)` }}>
                  {Array.from({ length: Math.max(0, to - from + 1) }, (_, place) => from + place).map((number) => (
                    <Line
                      key={number}
                      number={number}
                      row={pages.row(number)}
                      columns={columns}
                      spot={spot}
                      stop={stop}
                      total={total}
                      onOpen={open}
                    />
                  ))}
                </tbody>
              </table>
            </div>
          </div>
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
    </>
  );
}

/** All of a record of which the columns in view are known: the one at its time that has the same. */
async function whole(row: Row, params: Params): Promise<Row> {
  const since = String(row["time"]);
  const { columns: _, order: __, ...own } = params;
  const asked = { ...own, since, until: microsecondLater(since), limit: AT_ONCE };
  const { rows } = await ask<FlowsAnswer>("flows", asked, new AbortController().signal);
  const same = (one: Row) =>
    Object.entries(row).every(([name, value]) => encode({ v: one[name] as string }) === encode({ v: value as string }));
  return rows.find(same) ?? row;
}

type LineProps = {
  number: number;
  row: Row | undefined;
  columns: Column[];
  spot: Signal<Spot>;
  stop: ReadonlySignal<Spot>;
  total: number;
  onOpen: (row: Row) => Promise<void>;
};

/** The cell of a row that is not there yet. */
const NOTHING: Cell = { text: "" };

const Line = drawnOnce(function Line({ number, row, columns, spot, stop: of, total, onOpen }: LineProps) {
  const stop = useStop(of, number, total, columns.length + 1);
  const click = (event: MouseEvent, column: Column, place: number, value: Value | undefined) => {
    spot.value = { row: number, column: place };
    if (column.field) onValueClick(event, column.field, value);
  };
  return (
    <tr aria-rowindex={number + 2} aria-busy={row === undefined}>
      <td class="opener">
        <button
          type="button"
          tabIndex={stop === 0 ? 0 : -1}
          aria-label={`Record of row ${number + 1}`}
          disabled={row === undefined}
          onClick={() => {
            spot.value = { row: number, column: 0 };
            if (row) void onOpen(row);
          }}
        >
          ▸
        </button>
      </td>
      {columns.map((column, place) => {
        const { text: given, title, value } = row ? recordCell(row, column) : NOTHING;
        const text = typeof given === "string" ? visible(given) : given;
        return (
          <td
            key={column.name}
            tabIndex={stop === place + 1 ? 0 : -1}
            title={title ?? (typeof text === "string" ? text : undefined)}
            class={`${column.number ? "number" : ""} ${column.field && row ? "value" : ""}`}
            aria-haspopup={column.field && row ? "menu" : undefined}
            onClick={(event) => row && click(event, column, place + 1, value)}
          >
            {text}
          </td>
        );
      })}
    </tr>
  );
});
