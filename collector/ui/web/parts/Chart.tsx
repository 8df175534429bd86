// A stack of series over time, drawn as SVG. What a mouse does keys do, too: a cursor, and
// a range that becomes the question's time. The same stands in a table.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ceiling, goneRuns, isGone, starts } from "../axis";
import type { Mark } from "../exports";
import { amount, clock, time, type Unit } from "../format";
import { type Range, writeMoment } from "../span";
import { go, utc } from "../state";

export type Series = {
  name: string;
  values: number[];
  colour: number;
  pick?: (opener: HTMLElement) => void;
  /** Where nothing is known of it. */
  gone?: Range[];
};

type ChartProps = {
  title: string;
  series: Series[];
  range: Range;
  bucket: number;
  unit: Unit;
  height?: number;
  then?: Series | undefined;
  marks?: Mark[];
  /** Parts of the range that have expired: they are hatched, and no value is drawn there. */
  gone?: Range[];
};

const HEIGHT = 160;
const LEFT = 76;
const TOP = 10;
const BOTTOM = 18;

export function Chart({
  title,
  series,
  range,
  bucket,
  unit,
  height = HEIGHT,
  then,
  marks = [],
  gone = [],
}: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(600);
  const cursor = useSignal<number | undefined>(undefined);
  const brush = useSignal<number | undefined>(undefined);
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.max(200, Math.round(entry.contentRect.width));
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const times = starts(range, bucket);
  const totals = times.map((_, at) => series.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const top = ceiling(Math.max(...totals, ...(then?.values ?? [])));
  const step = (width.value - LEFT) / times.length;
  const x = (at: number) => LEFT + at * step;
  const placed = (time: number) =>
    Math.max(LEFT, Math.min(width.value, x((time - (times[0] ?? range.since)) / bucket)));
  const y = (value: number) => TOP + (height - BOTTOM - TOP) * (1 - value / top);
  const bucketAt = (event: PointerEvent) => {
    const inside = event.clientX - (event.currentTarget as Element).getBoundingClientRect().left - LEFT;
    return Math.max(0, Math.min(times.length - 1, Math.floor(inside / step)));
  };
  const zoom = () => {
    const [from, to] = [brush.value, cursor.value];
    brush.value = undefined;
    if (from === undefined || to === undefined) return;
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    go({
      since: writeMoment(times[first] ?? range.since),
      until: writeMoment(Math.min((times[last] ?? range.until) + bucket, range.until)),
    });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = times.length - 1;
    const now = cursor.value ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      if (!event.shiftKey) brush.value = undefined;
      else brush.value ??= now;
      cursor.value = Math.max(0, Math.min(last, to));
    } else if (event.key === "Enter" && brush.value !== undefined) {
      event.preventDefault();
      zoom();
    } else if (event.key === "Escape") {
      brush.value = undefined;
      cursor.value = undefined;
    }
  };
  const runs = goneRuns(gone, times, bucket);
  const hatching = `${idOf(title)}-gone`;
  const valueAt = (one: Series, at: number) =>
    shownAt(one.values[at] ?? 0, unit, isGone(one.gone ?? gone, times[at] ?? 0, bucket));
  const earlier = (at: number) => (then ? `; ${then.name} ${valueAt(then, at)}` : "");
  const told =
    cursor.value === undefined
      ? undefined
      : readout(cursor.value, times, bucket, series, totals, unit, gone) + earlier(cursor.value);
  return (
    <figure class="chart">
      <div
        ref={box}
        class="drawing"
        tabIndex={0}
        role="application"
        aria-label={`${title}: chart. Arrows move, Shift and arrows choose a time, Enter takes it.`}
        onKeyDown={onKeyDown}
        aria-describedby={`${idOf(title)}-told`}
      >
        <svg
          width={width.value}
          height={height}
          aria-hidden="true"
          onPointerMove={(event) => {
            cursor.value = bucketAt(event);
          }}
          onPointerLeave={() => {
            if (brush.value === undefined) cursor.value = undefined;
          }}
          onPointerDown={(event) => {
            if (event.button === 0) {
              event.currentTarget.setPointerCapture(event.pointerId);
              brush.value = cursor.value = bucketAt(event);
            }
          }}
          onPointerUp={() => {
            if (brush.value !== cursor.value) zoom();
            else brush.value = undefined;
          }}
        >
          <defs>
            <pattern id={hatching} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <line class="hatch" x1="0" y1="0" x2="0" y2="6" />
            </pattern>
          </defs>
          {runs.map(({ from, count }) => (
            <rect
              key={from}
              class="gone"
              fill={`url(#${hatching})`}
              x={x(from)}
              y={TOP}
              width={step * count}
              height={height - BOTTOM - TOP}
            />
          ))}
          {[0, 0.5, 1].map((part) => (
            <g key={part}>
              <line class="rule" x1={LEFT} x2={width.value} y1={y(top * part)} y2={y(top * part)} />
              <text class="axis" x={LEFT - 6} y={y(top * part) + 4} text-anchor="end">
                {amount(top * part, unit)}
              </text>
            </g>
          ))}
          {stacked(series, times.length).map(({ colour, low, high, name }) => (
            <path key={name} class={`fill c${colour}`} d={area(low, high, x, y)} />
          ))}
          {then && <path class="then" d={outline(then.values, x, y)} />}
          {[0, 0.5, 1].map((part) => {
            const at = new Date((times[0] ?? range.since) + part * times.length * bucket);
            return (
              <text
                key={part}
                class="axis"
                y={height - 4}
                x={LEFT + part * (width.value - LEFT)}
                text-anchor={part === 0 ? "start" : part === 1 ? "end" : "middle"}
              >
                {range.until - range.since > 86_400_000
                  ? time(at.toISOString(), utc.value).slice(5, 16)
                  : clock(at, utc.value).slice(0, 5)}
              </text>
            );
          })}
          {marks.map(({ at, name }) => (
            <g class="mark" key={`${at} ${name}`}>
              <line x1={placed(at)} x2={placed(at)} y1={TOP} y2={height - BOTTOM} />
              <path d={`M${placed(at)},${TOP} l-4,-8 h8 Z`} />
            </g>
          ))}
          {brush.value !== undefined && cursor.value !== undefined && (
            <rect
              class="brush"
              x={x(Math.min(brush.value, cursor.value))}
              y={TOP}
              height={height - BOTTOM - TOP}
              width={step * (Math.abs(brush.value - cursor.value) + 1)}
            />
          )}
          {cursor.value !== undefined && (
            <line
              class="cursor"
              x1={x(cursor.value) + step / 2}
              x2={x(cursor.value) + step / 2}
              y1={TOP}
              y2={height - BOTTOM}
            />
          )}
        </svg>
      </div>
      <p class="told" id={`${idOf(title)}-told`} role="status">
        {told ?? ""}
      </p>
      {marks.length > 0 && (
        <ul class="marks" aria-label={`Changes within ${title}`}>
          {marks.map(({ at, name }) => (
            <li key={`${at} ${name}`}>
              <span aria-hidden="true">▼</span> {time(writeMoment(at), utc.value)} {name}
            </li>
          ))}
        </ul>
      )}
      {runs.length > 0 && (
        <p class="told">
          Hatched: from{" "}
          {runs
            .map(({ from, count }) =>
              [from, from + count]
                .map((at) => time(writeMoment((times[0] ?? 0) + at * bucket), utc.value))
                .join(" to "),
            )
            .join(", ")}{" "}
          records have expired, and what flowed is not known.
        </p>
      )}
      {series.length > 1 && (
        <ul class="legend" aria-label={`Series of ${title}`}>
          {series.map((one) => (
            <li key={one.name}>
              <span class={`swatch c${one.colour}`} aria-hidden="true" />
              {one.pick ? (
                <button type="button" class="link" onClick={(event) => one.pick?.(event.currentTarget)}>
                  {one.name}
                </button>
              ) : (
                one.name
              )}
            </li>
          ))}
        </ul>
      )}
      <details>
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                {[...series, ...(then ? [then] : [])].map((one) => (
                  <th scope="col" class="number" key={one.name}>
                    {one.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((at, place) => (
                <tr key={at}>
                  <th scope="row">{time(writeMoment(at), utc.value)}</th>
                  {[...series, ...(then ? [then] : [])].map((one) => (
                    <td class="number" key={one.name}>
                      {valueAt(one, place)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

const idOf = (title: string) => title.toLowerCase().replace(/[^a-z]+/g, "-");

/** A value, or that there is none: what has expired was not nothing. */
function shownAt(value: number, unit: Unit, isGone: boolean): string {
  if (!isGone) return amount(value, unit);
  return value === 0 ? "no data" : `${amount(value, unit)} of what is left`;
}

function readout(
  at: number,
  times: number[],
  bucket: number,
  series: Series[],
  totals: number[],
  unit: Unit,
  gone: Range[],
): string {
  const from = times[at] ?? 0;
  const span = `${time(writeMoment(from), utc.value)} to ${clock(new Date(from + bucket), utc.value)}`;
  const parts = series.map((one) => `${one.name} ${amount(one.values[at] ?? 0, unit)}`);
  const total = totals[at] ?? 0;
  const told = shownAt(total, unit, isGone(gone, from, bucket));
  return series.length === 1 || told === "no data" ? `${span}: ${told}` : `${span}: ${told} (${parts.join(", ")})`;
}

function stacked(
  series: Series[],
  length: number,
): Array<{ name: string; colour: number; low: number[]; high: number[] }> {
  let low = new Array<number>(length).fill(0);
  return series.map(({ name, colour, values }) => {
    const high = low.map((base, at) => base + (values[at] ?? 0));
    const layer = { name, colour, low, high };
    low = high;
    return layer;
  });
}

/** The upper edge alone. */
function outline(values: number[], x: (at: number) => number, y: (value: number) => number): string {
  const p = (number: number) => Math.round(number * 10) / 10;
  return `M${values.map((value, at) => `${p(x(at))},${p(y(value))} ${p(x(at + 1))},${p(y(value))}`).join(" ")}`;
}

/** Steps, since a value holds for all of its bucket. */
function area(low: number[], high: number[], x: (at: number) => number, y: (value: number) => number): string {
  const p = (number: number) => Math.round(number * 10) / 10;
  const over = high.map((value, at) => `${p(x(at))},${p(y(value))} ${p(x(at + 1))},${p(y(value))}`);
  const under = low.map((value, at) => `${p(x(at + 1))},${p(y(value))} ${p(x(at))},${p(y(value))}`).reverse();
  return `M${over.join(" ")} ${under.join(" ")}Z`;
}
