// Rules that nothing used, that allow more than what used them, and what is odd about policies.
import { amount, exact, shorten, time } from "../../format";
import { Answer, AnswerLine } from "../../parts/Answer";
import { Grid } from "../../parts/Grid";
import { Out } from "../../parts/Out";
import { momentOf } from "../../policies";
import { policies } from "../../question";
import { question, useAsk, utc } from "../../state";
import type { LintAnswer, RulesAnswer } from "../../types";
import { UNKNOWN } from "../../words";
import { hoursOf } from "./hours";

export function Rules() {
  return (
    <>
      <Uses page="unused" title="Unused" none="Each rule was used, and none is made needless by another." />
      <Uses page="wide" title="Wide" none="No rule allows more than what used it." />
      <Odd />
    </>
  );
}

function Uses({ page, title, none }: { page: "unused" | "wide"; title: string; none: string }) {
  const params = policies(question.value);
  const answer = useAsk<RulesAnswer>(`policy/${page}`, params);
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <Answer of={answer} empty={({ rows }) => (rows.length === 0 ? <p class="empty">{none}</p> : undefined)}>
        {({ rows, notes, ...hours }) => {
          const shown = rows.map((row) => ({
            ...row,
            shadowed_by: row.shadowed_by ?? "",
            last_seen: momentOf(row.last_seen_ns),
            used_of: `${exact(row.used)} of ${exact(row.allowed)}`,
          }));
          return (
            <>
              <Grid
                label={`${title} rules`}
                rows={shown}
                columns={[
                  { name: "rule", title: "Rule" },
                  { name: "pods", title: "Pods", number: true, hint: "Pods that its policy selects" },
                  { name: "edges", title: "Edges", number: true, hint: "Edges that match it" },
                  { name: "flows", title: "Flows", number: true },
                  { name: "bytes", title: "Bytes", number: true },
                  { name: "used_of", title: "Used of allowed", number: true, hint: "Pairs of peer and port" },
                  { name: "last_seen", title: "Last" },
                  { name: "shadowed_by", title: "Needless beside", hint: "A rule that allows all that it does" },
                ]}
                cell={(row, { name, number }) =>
                  name === "bytes"
                    ? { text: amount(Number(row["bytes"]), "bytes"), title: exact(row["bytes"]) }
                    : name === "last_seen"
                      ? { text: row["last_seen"] === "" ? "never" : time(row["last_seen"], utc.value) }
                      : name === "used_of" || !number
                        ? { text: String(row[name] ?? "") || UNKNOWN }
                        : { text: shorten(Number(row[name])), title: exact(row[name]) }
                }
              />
              <p class="buttons">
                <Out
                  asks={{ verb: `policy ${page}`, page: `policy/${page}`, params }}
                  rows={shown}
                  columns={Object.keys(shown[0] ?? {})}
                  name={page}
                />
              </p>
              <AnswerLine
                text={`${rows.length} ${rows.length === 1 ? "rule" : "rules"}, ${hoursOf(hours)}`}
                notes={notes}
                stats={undefined}
              />
            </>
          );
        }}
      </Answer>
    </section>
  );
}

function Odd() {
  const params = { ns: question.value.ns };
  const answer = useAsk<LintAnswer>("policy/lint", params);
  return (
    <section aria-label="Odd">
      <h2>What is odd</h2>
      <Answer
        of={answer}
        empty={({ rows }) => (rows.length === 0 ? <p class="empty">Nothing is odd about the policies.</p> : undefined)}
      >
        {({ rows, notes }) => (
          <>
            <Grid
              label="Findings"
              rows={rows}
              columns={[
                { name: "policy", title: "Policy" },
                { name: "kind", title: "Kind" },
                { name: "code", title: "Finding" },
                { name: "place", title: "Where" },
                { name: "means", title: "What it comes to" },
              ]}
              cell={(row, { name }) => ({ text: String(row[name] ?? "") || UNKNOWN })}
            />
            <p class="buttons">
              <Out
                asks={{ verb: "policy lint", page: "policy/lint", params }}
                rows={rows}
                columns={["policy", "kind", "code", "place", "means"]}
                name="lint"
              />
            </p>
            <AnswerLine
              text={`${rows.length} ${rows.length === 1 ? "finding" : "findings"}`}
              notes={notes}
              stats={undefined}
            />
          </>
        )}
      </Answer>
    </section>
  );
}
