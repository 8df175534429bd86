// Nodes and their export: what is asked for, what is in force, what was received of it, what it
// costs; and of one of them all that it says, with what to do.

import { equals } from "../cel";
import { newest, type Standing, standing } from "../exports";
import { shorten, time } from "../format";
import { carried, nothing } from "../question";
import { addressOf, ago, go, question, utc } from "../state";
import type { Figures, NodeExportAnswer, Programmed, ReceptionAnswer, Row } from "../types";
import { COSTS, EXPORT, STANDINGS, UNKNOWN } from "../words";
import { Condition } from "./Conditions";
import { Grid } from "./Grid";
import { Out } from "./Out";

const SHOWN: Array<[string, string, (of: Standing) => boolean]> = [
  ["", EXPORT.allNodes, () => true],
  ["wrong", EXPORT.notWell, (of) => of === "fails" || of === "none" || of === "behind"],
  ["off", EXPORT.exportNothing, (of) => of !== "exporting"],
];
const FIRST: Standing[] = ["fails", "none", "behind", "exporting", "off"];
const FIGURES: Array<keyof Figures> = [
  "vswitchd_millicores",
  "datagrams_per_second",
  "send_errors_per_second",
  "lost_per_second",
];
const COLUMNS = [
  "node",
  "state",
  "applied",
  "exporting",
  "conflict",
  "protocols",
  "reason",
  "profile",
  "ovs",
  "healed",
];

/** A figure, and what it was before the last change. */
const nowAndThen = (node: NodeExportAnswer, of: keyof Figures) => {
  const [is, was] = [node.cost?.[of], node.cost_before?.[of]];
  if (is === undefined && was === undefined) return UNKNOWN;
  return was === undefined ? String(is) : `${is ?? UNKNOWN} (${EXPORT.was} ${was})`;
};

const rowOf = (node: NodeExportAnswer): Row => ({
  node: node.node,
  state: STANDINGS[standing(node)] ?? UNKNOWN,
  applied: node.applied,
  exporting: node.exporting,
  conflict: node.conflict,
  protocols: node.protocols,
  reason: node.reason,
  profile: node.profile ?? UNKNOWN,
  ovs: node.ovs_version ?? UNKNOWN,
  healed: node.drift_healed,
  received: ago(newest(node)),
  lost: shorten(node.received.reduce((sum, { lost }) => sum + lost, 0)),
  ...Object.fromEntries(FIGURES.map((of) => [of, nowAndThen(node, of)])),
  budget: node.budget ?? UNKNOWN,
});

export function ExportNodes({ nodes }: { nodes: NodeExportAnswer[] }) {
  const { show, sel } = question.value;
  const fits = SHOWN.find(([name]) => name === show)?.[2] ?? (() => true);
  // What is to be mended stands first.
  const shown = nodes
    .filter((node) => fits(standing(node)))
    .sort((a, b) => FIRST.indexOf(standing(a)) - FIRST.indexOf(standing(b)) || (a.node < b.node ? -1 : 1));
  const rows = shown.map(rowOf);
  const chosen = nodes.find(({ node }) => node === sel);
  const columns = [...COLUMNS, "received", "lost", ...FIGURES, "budget"];
  return (
    <section aria-label={EXPORT.nodes}>
      <h2>{EXPORT.nodes}</h2>
      <div class="controls">
        <label>
          {EXPORT.show}{" "}
          <select value={show} onChange={(event) => go({ show: event.currentTarget.value })}>
            {SHOWN.map(([name, title]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <Out rows={rows} columns={columns} name="export" />
      </div>
      {rows.length === 0 ? (
        <p class="empty">{nodes.length === 0 ? EXPORT.noNodes : EXPORT.noneOfThem}</p>
      ) : (
        <div class="with-side">
          <Grid
            label={EXPORT.nodes}
            rows={rows}
            columns={columns.map((name) => ({
              name,
              title: COSTS[name] ?? EXPORT.columns[name] ?? name,
              number: ["healed", "lost", ...FIGURES].includes(name),
            }))}
            cell={(row, { name }) => ({ text: String(row[name] ?? UNKNOWN) })}
            openLabel={EXPORT.details}
            opened={chosen ? shown.indexOf(chosen) : undefined}
            onOpen={(row) => go({ sel: row["node"] === sel ? "" : String(row["node"]) })}
          />
          {chosen && <Detail node={chosen} />}
        </div>
      )}
    </section>
  );
}

function Detail({ node }: { node: NodeExportAnswer }) {
  const { conditions, programmed, received, trouble, held_back, unproven, told_at, daemon_version } = node;
  const flows = addressOf("flows", {
    ...nothing(),
    ...carried(question.value),
    all_observations: true,
    filter: equals("exporter_node", node.node, "text"),
  });
  return (
    <aside class="side" aria-label={`${EXPORT.node} ${node.node}`}>
      <h2>
        {node.node}
        <button type="button" onClick={() => go({ sel: "" })}>
          {EXPORT.close}
        </button>
      </h2>
      {trouble && <p class="trouble">{trouble}</p>}
      {held_back && <p class="trouble">{held_back}</p>}
      <ul class="conditions">
        {conditions.map((condition) => (
          <Condition key={condition.type} condition={condition} />
        ))}
      </ul>
      <InForce programmed={programmed} />
      <Received received={received} wanted={node.wanted} />
      {unproven && (
        <p class="trouble">
          {EXPORT.unproven} {ago(unproven)}
        </p>
      )}
      <p class="quiet">
        {told_at && `${EXPORT.toldAt} ${time(told_at, utc.value)}. `}
        {daemon_version && `weir-node ${daemon_version}`}
      </p>
      <p class="links">
        <a href={flows}>{EXPORT.itsFlows}</a>
        <a href={addressOf("nodes", carried(question.value))}>{EXPORT.overTime}</a>
      </p>
    </aside>
  );
}

function InForce({ programmed }: { programmed: Programmed[] }) {
  if (programmed.length === 0) return <p class="quiet">{EXPORT.toldNothing}</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={EXPORT.programmed}>
      <table>
        <caption>{EXPORT.programmed}</caption>
        <tbody>
          {programmed.map(({ bridge, protocol, targets, in_force, sampling }) => (
            <tr key={`${bridge} ${protocol}`}>
              <th scope="row">
                {bridge} {protocol}
              </th>
              <td>
                {targets.join(", ")}
                {sampling !== undefined && `, 1 in ${sampling}`}
                {in_force.join() !== targets.join() && (
                  <span class="trouble">
                    {" "}
                    {in_force.length === 0 ? EXPORT.notInForce : `${EXPORT.inForce}: ${in_force.join(", ")}`}
                  </span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Received({ received, wanted }: { received: ReceptionAnswer[]; wanted: boolean }) {
  if (received.length === 0) return <p class={wanted ? "hint" : "quiet"}>{EXPORT.nothingReceived}</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={EXPORT.receivedHere}>
      <table>
        <caption>{EXPORT.receivedHere}</caption>
        <tbody>
          {received.map(({ format, last, records, lost }) => (
            <tr key={format}>
              <th scope="row">{format}</th>
              <td>
                {ago(last)}, {shorten(records)} {EXPORT.records}, {shorten(lost)} {EXPORT.lost}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
