// Who talks to whom, as a picture: circles are as large as what they send and receive, lines
// as wide as what goes between.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { join, terms } from "../cel";
import { colours, OTHER } from "../colour";
import { amount, exact, measured, numberOf, shorten, unitOf } from "../format";
import { Answer, AnswerLine, Empty } from "../parts/Answer";
import { Grid } from "../parts/Grid";
import { Out } from "../parts/Out";
import { carried, encode, nothing, selection, sums } from "../question";
import { addressOf, go, kindOf, question, useAsk, utc } from "../state";
import { endOf, graphOf, heaviest, type Link, named, nextTo, type Peer, placed, shortName } from "../topology";
import type { QueryAnswer, Row } from "../types";
import { fieldTitle, measureTitle, NOT_NAMED, UNKNOWN } from "../words";

/** Levels, from the whole to the single: what is called so, and the fields of a side. */
const LEVELS: Array<[string, string[]]> = [
  ["zone", ["zone"]],
  ["node", ["node_name"]],
  ["namespace", ["ns"]],
  ["workload", ["ns", "workload_kind", "workload_name"]],
  ["pod", ["ns", "pod_name"]],
  ["service", ["service_ns", "service_name"]],
];
/** Where one gets by stepping into somebody. */
const FINER: Record<string, string> = {
  zone: "namespace",
  node: "pod",
  namespace: "workload",
  workload: "pod",
  service: "pod",
};
const EDGES = 600;
const MOST_PEERS = 120;
const HEIGHT = 620;
/** Edges that are drawn while nobody is chosen: of so large a part of all, and so many. */
const COVER = 0.95;
const MOST_DRAWN = 160;
/** Peers that are listed beside the picture. */
const MOST_LISTED = 30;
/** From this part of packets on a line is told as dropped. */
const IS_DROPPED = 0.1;

/** The level that is chosen, or the one that fits: inside of a namespace its workloads. */
function levelOf(): [string, string[]] {
  const { show, filter } = question.value;
  const usual = terms(filter).some((part) => /\bns == /.test(part)) ? "workload" : "namespace";
  const name = show.replace(/ table$/, "");
  return LEVELS.find(([of]) => of === name) ?? LEVELS.find(([of]) => of === usual) ?? ["namespace", ["ns"]];
}

export function Topology() {
  const asked = question.value;
  const [level, fields] = levelOf();
  const by = asked.by || "bytes";
  const table = / table$/.test(asked.show);
  const group_by = [...fields, ...fields.map((field) => `dst_${field}`)];
  const params = sums({
    ...nothing(),
    ...carried(asked),
    group_by,
    by,
    measures: [by, "packets", "flows", "dropped_packets"].filter((name, at, all) => all.indexOf(name) === at),
    top: EDGES,
  });
  const answer = useAsk<QueryAnswer>("query", params);
  const picked = useSignal("");
  const key = encode(params);
  useEffect(() => {
    picked.value = "";
  }, [key]);
  return (
    <>
      <div class="controls">
        <label>
          Level{" "}
          <select value={level} onChange={(event) => go({ show: event.currentTarget.value })}>
            {LEVELS.map(([name]) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
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
        <button type="button" aria-pressed={table} onClick={() => go({ show: table ? level : `${level} table` })}>
          As a table
        </button>
      </div>
      <Answer of={answer} empty={({ rows }) => (rows.length === 0 ? <Empty /> : undefined)}>
        {({ rows, other, groups, columns, notes, stats }) => (
          <>
            {table ? (
              <Grid
                label="Edges"
                rows={rows}
                all={groups}
                columns={columns.map((name) =>
                  group_by.includes(name)
                    ? { name, title: fieldTitle(name), hint: name, field: name }
                    : { name, title: measureTitle(name), hint: name, number: true, sorted: name === by },
                )}
                cell={(row, { name, number }) =>
                  number
                    ? { text: measured(row, name, utc.value), title: exact(row[name]) }
                    : { text: String(row[name] ?? "") || UNKNOWN, value: row[name] }
                }
                foot={other.map((row) => ({ label: `Other (${shorten(groups - rows.length)})`, row }))}
              />
            ) : (
              <Picture
                rows={rows}
                fields={fields}
                by={by}
                level={level}
                picked={picked.value}
                onPick={(peer) => {
                  picked.value = peer;
                }}
                left={other[0]}
                all={groups}
              />
            )}
            <p class="buttons">
              <Out asks={{ verb: "flows", page: "query", params }} rows={rows} columns={columns} name="topology" />
            </p>
            <AnswerLine
              text={`${shorten(groups)} ${groups === 1 ? "edge" : "edges"}, ${rows.length} told apart`}
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

type PictureProps = {
  rows: Row[];
  fields: string[];
  by: string;
  level: string;
  picked: string;
  onPick: (key: string) => void;
  left: Row | undefined;
  all: number;
};

function Picture({ rows, fields, by, level, picked, onPick, left, all }: PictureProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(900);
  const stop = useSignal("");
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.max(560, Math.round(entry.contentRect.width));
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const { peers, links } = useMemo(
    () => placed(graphOf(rows, fields, by, MOST_PEERS), width.value, HEIGHT),
    [rows, by, fields.join(), width.value],
  );
  const unit = unitOf(by);
  const given = useMemo(() => colours([...new Set(peers.map((peer) => peer.group))].slice(0, 8)), [peers]);
  const chosen = peers.find((peer) => peer.key === picked);
  const most = Math.max(1, ...links.map((link) => link.amount));
  const isNear = (peer: Peer) =>
    !chosen ||
    peer === chosen ||
    links.some(({ from, to }) => (from === chosen && to === peer) || (to === chosen && from === peer));
  const focused = peers.find((peer) => peer.key === stop.value) ?? peers[0];
  const nameOf = (peer: Peer) =>
    `${peer.title}: sent ${amount(peer.sent, unit)}, received ${amount(peer.received, unit)}${peer.within > 0 ? `, within ${amount(peer.within, unit)}` : ""}`;
  const onKeyDown = (event: KeyboardEvent, peer: Peer) => {
    const way = (
      { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as Record<
        string,
        [number, number]
      >
    )[event.key];
    const next = way && nextTo(peers, peer, ...way);
    if (way) event.preventDefault();
    if (next) {
      stop.value = next.key;
      box.current?.querySelectorAll<SVGGElement>(".peer")[peers.indexOf(next)]?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onPick(peer.key === picked ? "" : peer.key);
    } else if (event.key === "Escape") onPick("");
  };
  // Of whoever is chosen all edges are drawn.
  const shown = chosen
    ? links.filter(({ from, to }) => from === chosen || to === chosen)
    : heaviest(links, COVER, MOST_DRAWN);
  return (
    <div class="with-side">
      <div ref={box} class="topology">
        <svg
          width={width.value}
          height={HEIGHT}
          role="group"
          aria-label={`Who talks to whom, by ${level}. Arrows walk, Enter shows the peers.`}
        >
          <defs>
            <marker
              id="head"
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              markerUnits="userSpaceOnUse"
              orient="auto"
            >
              <path d="M0,0 L8,4 L0,8 Z" class="head" />
            </marker>
          </defs>
          {shown.map((link) => (
            <path
              key={`${link.from.key} ${link.to.key}`}
              class={`edge ${link.dropped >= IS_DROPPED ? "dropped" : ""} `}
              d={curve(link)}
              stroke-width={0.75 + 4 * Math.max(0, 1 + Math.log10(link.amount / most) / 3)}
              marker-end="url(#head)"
              aria-hidden="true"
            >
              <title>{`${link.from.title} to ${link.to.title}: ${amount(link.amount, unit)}${link.dropped > 0 ? `, ${amount(link.dropped, "part")} of packets dropped` : ""}`}</title>
            </path>
          ))}
          {peers.map((peer) => (
            <g
              key={peer.key}
              class={`peer ${isNear(peer) ? "" : "dim"}`}
              role="button"
              aria-pressed={peer === chosen}
              tabIndex={peer === focused ? 0 : -1}
              aria-label={nameOf(peer)}
              onFocus={() => {
                stop.value = peer.key;
              }}
              onClick={() => onPick(peer.key === picked ? "" : peer.key)}
              onKeyDown={(event) => onKeyDown(event, peer)}
            >
              <title>{nameOf(peer)}</title>
              {peer.title === NOT_NAMED ||
              peer.fields.some(([, value]) => value === "internet" || value === "private") ? (
                <rect
                  class={`c${OTHER}`}
                  x={peer.x - peer.radius}
                  y={peer.y - peer.radius}
                  width={2 * peer.radius}
                  height={2 * peer.radius}
                  transform={`rotate(45 ${peer.x} ${peer.y})`}
                />
              ) : (
                <circle class={`c${given.get(peer.group) ?? OTHER}`} cx={peer.x} cy={peer.y} r={peer.radius} />
              )}
            </g>
          ))}
          {named(peers.filter((peer) => !chosen || isNear(peer))).map((peer) => (
            <text key={peer.key} aria-hidden="true" x={peer.x} y={peer.y + peer.radius + 13} text-anchor="middle">
              {shortName(peer)}
            </text>
          ))}
        </svg>
        <p class="hint">
          {all > shown.length
            ? `${shorten(shown.length)} of ${shorten(all)} edges are drawn, the heaviest${chosen ? " of this one" : ""}; the table has ${rows.length} of them${left ? `, what is left over has ${measured(left, by, utc.value)}` : ""}. `
            : ""}
          Red and dashed: a tenth of the packets or more were dropped.
        </p>
      </div>
      {chosen && <Side peer={chosen} links={links} by={by} level={level} onClose={() => onPick("")} onPick={onPick} />}
    </div>
  );
}

/** Bent, so that both directions are seen; it ends where the circle begins. */
function curve({ from, to }: Link): string {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const [mx, my] = [(from.x + to.x) / 2 - dy * 0.08, (from.y + to.y) / 2 + dx * 0.08];
  const p = (number: number) => Math.round(number * 10) / 10;
  const [ex, ey] = [to.x - mx, to.y - my];
  const end = Math.hypot(ex, ey) || 1;
  const back = Math.min(to.radius + 2, length / 2);
  return `M${p(from.x)},${p(from.y)} Q${p(mx)},${p(my)} ${p(to.x - (ex / end) * back)},${p(to.y - (ey / end) * back)}`;
}

/** All that one end has, also what is in no edge that is told apart. */
function Sum({ title, by, condition }: { title: string; by: string; condition: string }) {
  const filter = join([...terms(question.value.filter), condition]);
  const asked = useAsk<QueryAnswer>("query", { ...selection(question.value), filter, measures: [by], by, top: 1 });
  const value = asked.fresh ? asked.answer?.totals[by] : undefined;
  return (
    <div aria-busy={!asked.fresh && !asked.failed}>
      <dt>{title}</dt>
      <dd title={value === undefined ? undefined : exact(value)}>
        {asked.failed ? "?" : value === undefined ? "…" : amount(numberOf(value) ?? 0, unitOf(by))}
      </dd>
    </div>
  );
}

/** One of them: with whom they talk, and where to go from there. */
function Side({
  peer,
  links,
  by,
  level,
  onClose,
  onPick,
}: {
  peer: Peer;
  links: Link[];
  by: string;
  level: string;
  onClose: () => void;
  onPick: (key: string) => void;
}) {
  const asked = question.value;
  const unit = unitOf(by);
  const end = (destination: boolean) => endOf(peer, destination, kindOf);
  const both = `(${end(false)}) || (${end(true)})`;
  const filter = join([...terms(asked.filter), both]);
  const finer = FINER[level];
  const list = (title: string, of: Array<[Peer, Link]>) =>
    of.length > 0 && (
      <table>
        <caption>
          {title}
          {of.length > MOST_LISTED ? `, the heaviest ${MOST_LISTED} of ${of.length}` : ""}
        </caption>
        <tbody>
          {of
            .sort((a, b) => b[1].amount - a[1].amount)
            .slice(0, MOST_LISTED)
            .map(([other, link]) => (
              <tr key={other.key}>
                <th scope="row">
                  <button type="button" class="value" onClick={() => onPick(other.key)}>
                    {other.title}
                  </button>
                </th>
                <td class="number">{amount(link.amount, unit)}</td>
                <td>{link.dropped > 0 ? `${amount(link.dropped, "part")} dropped` : ""}</td>
              </tr>
            ))}
        </tbody>
      </table>
    );
  return (
    <aside class="side" aria-label="Peer">
      <h2>
        {peer.title}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        {finer && (
          <li>
            <a href={addressOf("topology", { ...nothing(), ...carried(asked), filter, show: finer, by: asked.by })}>
              Step in: {finer}s
            </a>
          </li>
        )}
        <li>
          <a href={addressOf("flows", { ...nothing(), ...carried(asked), filter })}>Its flows</a>
        </li>
        <li>
          <a href={addressOf("topology", { ...asked, filter })}>Only this</a>
        </li>
      </ul>
      <dl class="pairs">
        <Sum title="Sent" by={by} condition={end(false)} />
        <Sum title="Received" by={by} condition={end(true)} />
      </dl>
      <p class="hint">Below: the heaviest of the edges that are told apart.</p>
      {list(
        "To",
        links.filter((link) => link.from === peer).map((link) => [link.to, link]),
      )}
      {list(
        "From",
        links.filter((link) => link.to === peer).map((link) => [link.from, link]),
      )}
    </aside>
  );
}
