// Where policies and what was seen do not go together.
import { shorten, time } from "../../format";
import { Answer, AnswerLine } from "../../parts/Answer";
import { Grid } from "../../parts/Grid";
import { Out } from "../../parts/Out";
import { momentOf } from "../../policies";
import { policies } from "../../question";
import { question, useAsk, utc } from "../../state";
import type { DisagreementsAnswer, PolicyDisagreement, PolicyNotEnforced } from "../../types";
import { CAUSES, DISAGREEMENTS } from "../../words";
import { Edges, type Said } from "./Edges";
import { hoursOf } from "./hours";

const SAID: Array<Said<PolicyDisagreement>> = [
  { name: "kind", title: "Policies, and what was seen", of: ({ kind }) => DISAGREEMENTS[kind] ?? kind },
  {
    name: "cause",
    title: "May be",
    of: ({ cause, plugin }) => `${CAUSES[cause] ?? cause}${plugin ? ` (${plugin})` : ""}`,
  },
  { name: "rule", title: "Policy, rule", of: ({ policy, rule }) => rule ?? policy ?? "" },
];

export function Disagreements() {
  const params = policies(question.value);
  const answer = useAsk<DisagreementsAnswer>("policy/disagreements", params);
  return (
    <Answer
      of={answer}
      empty={({ rows }) =>
        rows.length === 0 ? (
          <p class="empty">
            What was seen is what policies say: nothing that they deny was answered, and nothing that they allow was
            dropped.
          </p>
        ) : undefined
      }
    >
      {({ rows, not_enforced, notes, ...hours }) => (
        <>
          {not_enforced.length > 0 && <NotEnforced rows={not_enforced} />}
          <h2>Edges</h2>
          <Edges label="Disagreements" edges={rows} said={SAID} />
          <p class="buttons">
            <Out
              asks={{ verb: "policy disagreements", page: "policy/disagreements", params }}
              rows={rows.map(({ plugin = "", policy = "", rule = "", ...row }) => ({ ...row, plugin, policy, rule }))}
              columns={[
                "kind",
                "client",
                "server",
                "port",
                "flows",
                "bytes",
                "side",
                "policy",
                "rule",
                "cause",
                "plugin",
              ]}
              name="disagreements"
            />
          </p>
          <AnswerLine
            text={`${rows.length} ${rows.length === 1 ? "edge" : "edges"}, ${hoursOf(hours)}`}
            notes={notes}
            stats={undefined}
          />
        </>
      )}
    </Answer>
  );
}

function NotEnforced({ rows }: { rows: PolicyNotEnforced[] }) {
  return (
    <>
      <p class="trouble">
        {rows.length === 1 ? "A policy is" : `${shorten(rows.length)} policies are`} not enforced: what is denied was
        answered for an hour and more. Is there a network plugin that enforces policies?
      </p>
      <Grid
        label="Not enforced"
        rows={rows}
        columns={[
          { name: "policy", title: "Policy" },
          { name: "edges", title: "Edges", number: true },
          { name: "flows", title: "Flows", number: true },
          { name: "first_seen_ns", title: "First" },
          { name: "last_seen_ns", title: "Last" },
        ]}
        cell={(row, { name, number }) => ({
          text: number
            ? shorten(Number(row[name]))
            : name === "policy"
              ? String(row["policy"])
              : time(momentOf(row[name] as number), utc.value),
        })}
      />
    </>
  );
}
