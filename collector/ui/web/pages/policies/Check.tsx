// What a change of policies would have done to the traffic that was seen: what would break comes
// first. The policies are sent to be judged; nothing is applied.

import { amount, exact, shorten } from "../../format";
import { Answer, AnswerLine } from "../../parts/Answer";
import { Check as Tick } from "../../parts/Choice";
import { Lines } from "../../parts/Lines";
import { Yaml } from "../../parts/Yaml";
import { quoted, replay } from "../../question";
import { go, question, useSend } from "../../state";
import type { AllowedEdge, CheckAnswer, DeniedEdge, TallyRow, UnknownEdge } from "../../types";
import { CHECKED, REASONS } from "../../words";
import { draft } from "./draft";
import { Edges, type Said } from "./Edges";
import { hoursOf } from "./hours";

/** The longest that the collector takes. */
const MOST = 8 << 20;

export function Check() {
  const asked = question.value;
  const { asked: answer, send } = useSend<CheckAnswer>("policy/check");
  const isAsked = draft.value.trim() !== "" || asked.delete.length > 0;
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (isAsked) send(replay(asked), draft.value);
        }}
      >
        <Yaml label="Policies, as YAML or JSON" text={draft} most={MOST} />
        <div class="controls">
          <label>
            Delete{" "}
            <input
              value={asked.delete.join(", ")}
              placeholder="namespace/name, …"
              onChange={(event) =>
                go({
                  delete: event.currentTarget.value
                    .split(",")
                    .map((one) => one.trim())
                    .filter(Boolean),
                })
              }
            />
          </label>
          <Tick
            label="What nobody answered counts, too"
            hint="A scan, or a try that was blocked"
            on={asked.strict}
            onChange={(strict) => go({ strict })}
          />
          <button type="submit" disabled={!isAsked}>
            Replay
          </button>
        </div>
      </form>
      <p class="hint">
        The policies do not fit into the address of the page: a link has the rest. In a pipeline:{" "}
        <code>
          weir policy check -f policies.yaml --since {quoted(asked.since)}
          {asked.filter ? ` --filter ${quoted(asked.filter)}` : ""}
        </code>
      </p>
      {answer && <Answer of={answer}>{(report) => <Report of={report} />}</Answer>}
    </>
  );
}

const sides: Record<string, string> = { egress: "the client's", ingress: "the server's" };

const DENIED: Array<Said<DeniedEdge>> = [
  { name: "why", title: "Why", of: ({ why }) => why },
  { name: "side", title: "By", of: ({ side }) => sides[side] ?? side, hint: "Whose policies" },
];
const ALLOWED: Array<Said<AllowedEdge>> = [
  { name: "rule", title: "By", of: ({ rule }) => rule ?? "nothing isolates any more" },
];
const UNKNOWNS: Array<Said<UnknownEdge>> = [
  { name: "reason", title: "Why", of: ({ reason }) => REASONS[reason] ?? reason },
  { name: "before", title: "Before", of: ({ before }) => before },
  { name: "after", title: "After", of: ({ after }) => after },
];

function Report({ of }: { of: CheckAnswer }) {
  const sums: Array<[string, TallyRow]> = [
    ["Seen", of.all],
    ["May be about it", of.concerned],
    ["Unchanged", of.unchanged],
    ["Decided by another rule now", of.decider_changed],
    ["Not judged", of.not_judged],
    ["Judged by another pod", of.stand_ins],
  ];
  return (
    <>
      <p class={of.exit_code === 0 ? "good" : "trouble"} role="status">
        <strong>
          {of.exit_code === 0 ? "✓" : of.exit_code === 1 ? "✕" : "?"} {CHECKED[of.exit_code] ?? "There is no answer."}
        </strong>{" "}
        <span class="quiet">Exit code {of.exit_code}.</span>
      </p>
      <Part title="Newly denied" edges={of.newly_denied} said={DENIED} none="Nothing that was allowed and answered." />
      <Part title="Newly denied, never answered" edges={of.newly_denied_unanswered} said={DENIED} />
      <Part title="Newly allowed" edges={of.newly_allowed} said={ALLOWED} />
      {of.opens.pairs > 0 && (
        <p>
          {shorten(of.opens.pairs)}
          {of.opens.all_looked_at ? "" : " and more"} pairs that nobody tried are opened.
        </p>
      )}
      <Part title="Not known" edges={of.unknown_edges} said={UNKNOWNS} />
      {of.rules_without_traffic.length > 0 && (
        <>
          <h2>Rules that nothing matches</h2>
          <Lines of={of.rules_without_traffic} what="rules" />
        </>
      )}
      <dl class="figures">
        {sums.map(([title, { edges, flows, bytes }]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd title={`${exact(edges)} edges, ${exact(flows)} flows, ${exact(bytes)} bytes`}>
              {shorten(flows)} <span class="quiet">{amount(bytes, "bytes")}</span>
            </dd>
          </div>
        ))}
      </dl>
      <AnswerLine text={`As ${of.profile} has it, ${hoursOf(of)}`} notes={of.notes} stats={undefined} />
    </>
  );
}

function Part<E extends DeniedEdge | AllowedEdge | UnknownEdge>({
  title,
  edges,
  said,
  none,
}: {
  title: string;
  edges: E[];
  said: Array<Said<E>>;
  none?: string;
}) {
  if (edges.length === 0 && !none) return null;
  return (
    <section aria-label={title}>
      <h2>
        {title}: {shorten(edges.length)}
      </h2>
      {edges.length === 0 ? <p class="hint">{none}</p> : <Edges label={title} edges={edges} said={said} />}
    </section>
  );
}
