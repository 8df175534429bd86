// The layer of a matrix that tells what policies said of its cells.
import type { ComponentChildren } from "preact";
import { join, terms } from "../../cel";
import { amount, shorten } from "../../format";
import { cellFields, Layer, SAID, type Sums } from "../../layer";
import { Answer, AnswerLine } from "../../parts/Answer";
import { question, useAsk } from "../../state";
import type { QueryAnswer } from "../../types";
import { LAYERS } from "../../words";

/** Groups that are asked for to colour cells by what policies said. */
const MOST_GROUPS = 10_000;

/** What policies said of the flows of the same hours, where cells are to show it. */
export function Layered({
  hours,
  children,
}: {
  hours: { since: string; until: string };
  children: (layer: Layer | undefined) => ComponentChildren;
}) {
  const asked = question.value;
  const isWanted = asked.colour === "policy";
  const fields = cellFields(asked.by, asked.ports);
  // Where the filter's source is not the client, it cannot be asked of records as it stands: all are asked of.
  const own = asked.direction === "" ? terms(asked.filter) : [];
  const params = {
    filter: join([...own, 'server == "dst"']),
    ...hours,
    group_by: [...fields, "policy_verdict", "policy_reason"],
    measures: ["flows", "bytes"],
    by: "flows",
    top: MOST_GROUPS,
  };
  const answer = useAsk<QueryAnswer>("query", isWanted ? params : undefined);
  if (!isWanted) return <>{children(undefined)}</>;
  return (
    <Answer of={answer}>
      {({ rows, notes, stats }) => (
        <>
          {children(new Layer(rows, fields))}
          <AnswerLine text="What policies said" notes={notes} stats={stats} how={params} />
        </>
      )}
    </Answer>
  );
}

/** What policies said of a cell, in words. */
export function inWords(sums: Sums | undefined): string {
  if (!sums) return "no flow whose server is known";
  return SAID.filter((said) => sums[said])
    .map((said) => `${LAYERS[said]?.title} (${shorten(sums[said]?.flows ?? 0)} flows)`)
    .join(", ");
}

/** What the letters mean, and how far policies reach. */
export function Legend({ covered }: { covered: { pairs: number; bytes: number } | undefined }) {
  return (
    <p class="scale">
      {SAID.map((said) => (
        <span key={said}>
          <strong>{LAYERS[said]?.letter}</strong> {LAYERS[said]?.title}
          {said === "" ? "." : ","}
        </span>
      ))}
      {covered && (
        <span>
          A policy decides of {amount(covered.pairs, "part")} of these pairs, {amount(covered.bytes, "part")} of their
          bytes.
        </span>
      )}
    </p>
  );
}
