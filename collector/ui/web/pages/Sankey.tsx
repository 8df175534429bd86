// Which way it goes: two to four columns of values, and bands as wide as what goes between.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { equals, join, terms } from "../cel";
import { colours, OTHER } from "../colour";
import { amount, exact, measured, numberOf, shorten, unitOf, visible } from "../format";
import { Answer, AnswerLine, Empty, Unfilled } from "../parts/Answer";
import { FieldPicker } from "../parts/Fields";
import { Grid } from "../parts/Grid";
import { openMenu, openValueMenu } from "../parts/Menu";
import { Out } from "../parts/Out";
import { byOf, carried, nothing, sums } from "../question";
import { type Band, gathered, type Node, picture, REST, type Way } from "../sankey";
import { addressOf, go, kindOf, open as openPage, question, useAsk, utc } from "../state";
import type { QueryAnswer, Row } from "../types";
import { fieldTitle, measureTitle, UNKNOWN } from "../words";

const USUAL = ["ns", "workload_name", "dst_ns", "dst_port"];
const MOST_COLUMNS = 4;
/** Groups that are asked for; what is left over is one band. */
const GROUPS = 5000;
const EACH = [10, 20, 30];
const HEIGHT = 480;
const NODE = 12;

export function Sankey() {
  const asked = question.value;
  const chosen = asked.group_by.length >= 2 ? asked.group_by.slice(0, MOST_COLUMNS) : USUAL;
  const by = asked.by || "bytes";
  const params = {
    ...sums({ ...asked, group_by: chosen, by, measures: [by], conversation: false, compare: "", bucket: "" }),
    top: GROUPS,
  };
  const answer = useAsk<QueryAnswer>("query", params);
  const each = EACH.includes(asked.top) ? asked.top : (EACH[0] ?? 10);
  return (
    <>
      <div class="controls">
        <FieldPicker
          label="Columns"
          chosen={chosen}
          may={(name) => !["map", "list of text"].includes(kindOf(name))}
          onChange={(group_by) => go({ group_by: group_by.slice(0, MOST_COLUMNS) })}
        />
        <label>
          Width{" "}
          <select value={by} onChange={(event) => go({ by: event.currentTarget.value })}>
            {["bytes", "packets", "flows"].map((name) => (
              <option key={name} value={name}>
                {measureTitle(name).toLowerCase()}
              </option>
            ))}
          </select>
        </label>
        <label>
          In each column{" "}
          <select value={each} onChange={(event) => go({ top: Number(event.currentTarget.value) })}>
            {EACH.map((number) => (
              <option key={number} value={number}>
                {number}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          aria-pressed={asked.show === "table"}
          onClick={() => go({ show: asked.show === "table" ? "" : "table" })}
        >
          As a table
        </button>
      </div>
      <Unfilled names={chosen} />
      <Answer of={answer} empty={({ rows }) => (rows.length === 0 ? <Empty /> : undefined)}>
        {({ rows, other, groups, columns, notes, stats }) => (
          <>
            {asked.show === "table" ? (
              <Table rows={rows} other={other} groups={groups} columns={columns} chosen={chosen} />
            ) : (
              <Picture ways={waysOf(rows, other, chosen, by, each)} fields={chosen} by={by} />
            )}
            <p class="buttons">
              <Out asks={{ verb: "flows", page: "query", params }} rows={rows} columns={columns} name="sankey" />
            </p>
            <AnswerLine
              text={`${shorten(groups)} ways, ${rows.length} told apart`}
              notes={notes}
              stats={stats}
              how={params}
            />
          </>
        )}
      </Answer>
    </>
  );
}

function waysOf(rows: Row[], other: Row[], fields: string[], by: string, each: number): Way[] {
  const ways = rows.map((row) => ({
    values: fields.map((name) => String(row[name] ?? "")),
    amount: numberOf(row[by]) ?? 0,
  }));
  const rest = other.map((row) => ({ values: fields.map(() => REST), amount: numberOf(row[by]) ?? 0 }));
  return gathered(
    [...ways, ...rest].filter((way) => way.amount > 0),
    each,
  );
}

const nameOf = (node: Node) => (node.isOther ? "Other" : visible(node.value) || UNKNOWN);

function Picture({ ways, fields, by }: { ways: Way[]; fields: string[]; by: string }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(900);
  const lit = useSignal<Node | Band | undefined>(undefined);
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.max(560, Math.round(entry.contentRect.width));
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const { nodes, bands, total } = picture(ways, { width: width.value, height: HEIGHT, node: NODE, gap: 10 });
  const unit = unitOf(by);
  const given = colours(nodes.filter((node) => node.column === 0 && !node.isOther).map((node) => node.value));
  const colourOf = (node: Node) => (node.column === 0 && !node.isOther ? (given.get(node.value) ?? OTHER) : OTHER);
  const isLit = (band: Band) =>
    lit.value === undefined || lit.value === band || band.from === lit.value || band.to === lit.value;
  const filterOf = (...ends: Node[]) =>
    join([
      ...terms(question.value.filter),
      ...ends
        .filter((node) => !node.isOther)
        .map((node) => equals(fields[node.column] ?? "", node.value, kindOf(fields[node.column] ?? ""))),
    ]);
  const openBand = (opener: HTMLElement | SVGElement, band: Band) =>
    openMenu(opener as HTMLElement, `${nameOf(band.from)} to ${nameOf(band.to)}`, [
      { text: "Only this", run: () => go({ filter: filterOf(band.from, band.to) }) },
      {
        text: "Open in Flows",
        run: () =>
          openPage(
            addressOf("flows", { ...nothing(), ...carried(question.value), filter: filterOf(band.from, band.to) }),
          ),
      },
    ]);
  const part = (amount_: number) => `${amount(amount_, unit)}, ${amount(amount_ / total, "part")}`;
  return (
    <div ref={box} class="sankey">
      <ol class="heads" aria-hidden="true">
        {fields.map((name) => (
          <li key={name}>{fieldTitle(name)}</li>
        ))}
      </ol>
      <svg
        width={width.value}
        height={HEIGHT}
        role="group"
        aria-label={`Bands between ${fields.map((name) => fieldTitle(name)).join(", ")}`}
      >
        {bands.map((band) => {
          const title = `${nameOf(band.from)} to ${nameOf(band.to)}: ${part(band.amount)}`;
          const [x0, x1, middle] = [band.from.x + NODE, band.to.x, (band.from.x + NODE + band.to.x) / 2];
          const [y0, y1] = [band.y0 + band.height / 2, band.y1 + band.height / 2];
          return (
            <path
              key={`${band.from.column} ${band.from.value} ${band.to.value}`}
              class={`band s${colourOf(band.from)} ${isLit(band) ? "" : "dim"}`}
              stroke-width={Math.max(1, band.height)}
              aria-hidden="true"
              d={`M${x0},${y0} C${middle},${y0} ${middle},${y1} ${x1},${y1}`}
              onPointerEnter={() => {
                lit.value = band;
              }}
              onPointerLeave={() => {
                lit.value = undefined;
              }}
              onClick={(event) => openBand(event.currentTarget, band)}
            >
              <title>{title}</title>
            </path>
          );
        })}
        {nodes.map((node) => {
          const field = fields[node.column] ?? "";
          const title = `${fieldTitle(field)} ${nameOf(node)}: ${part(node.amount)}`;
          const last = node.column === fields.length - 1;
          const act = (opener: Element) => node.isOther || openValueMenu(opener as HTMLElement, field, node.value);
          return (
            <g
              key={`${node.column} ${node.value}`}
              role="button"
              tabIndex={0}
              aria-label={title}
              class="node"
              onFocus={() => {
                lit.value = node;
              }}
              onBlur={() => {
                lit.value = undefined;
              }}
              onPointerEnter={() => {
                lit.value = node;
              }}
              onPointerLeave={() => {
                lit.value = undefined;
              }}
              onClick={(event) => act(event.currentTarget)}
              onKeyDown={(event) => {
                if (event.key === "Enter" || event.key === " ") {
                  event.preventDefault();
                  act(event.currentTarget);
                }
              }}
            >
              <title>{title}</title>
              <rect class={`c${colourOf(node)}`} x={node.x} y={node.y} width={NODE} height={Math.max(2, node.height)} />
              {node.height >= 9 && (
                <text
                  aria-hidden="true"
                  x={last ? node.x - 6 : node.x + NODE + 6}
                  y={node.y + node.height / 2 + 4}
                  text-anchor={last ? "end" : "start"}
                >
                  {shortName(nameOf(node), width.value / fields.length)}{" "}
                  <tspan class="quiet">{amount(node.amount, unit)}</tspan>
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <p class="told" role="status">
        {lit.value &&
          ("from" in lit.value
            ? `${nameOf(lit.value.from)} to ${nameOf(lit.value.to)}: ${part(lit.value.amount)}`
            : `${nameOf(lit.value)}: ${part(lit.value.amount)}`)}
      </p>
    </div>
  );
}

const shortName = (name: string, room: number) =>
  name.length * 8 > room - 90 ? `${name.slice(0, Math.max(4, Math.floor((room - 98) / 8)))}…` : name;

function Table({
  rows,
  other,
  groups,
  columns,
  chosen,
}: {
  rows: Row[];
  other: Row[];
  groups: number;
  columns: string[];
  chosen: string[];
}) {
  return (
    <Grid
      label="Ways"
      rows={rows}
      all={groups}
      columns={columns.map((name) =>
        chosen.includes(name)
          ? { name, title: fieldTitle(name), field: name }
          : { name, title: measureTitle(name), number: true, sorted: name === byOf(question.value) },
      )}
      cell={(row, { name, number }) =>
        number
          ? { text: measured(row, name, utc.value), title: exact(row[name]) }
          : { text: String(row[name] ?? "") || UNKNOWN, value: row[name] }
      }
      foot={other.map((row) => ({ label: `Other (${shorten(groups - rows.length)})`, row }))}
    />
  );
}
