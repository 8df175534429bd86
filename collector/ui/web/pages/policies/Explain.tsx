// Whether one may reach the other, and which policy decides.
import { useRef } from "preact/hooks";
import { Answer, AnswerLine } from "../../parts/Answer";
import { copy } from "../../parts/Menu";
import { quoted } from "../../question";
import { go, question, useAsk } from "../../state";
import type { ExplainAnswer, ExplainedPair, ExplainedSide } from "../../types";
import { REASONS, UNKNOWN } from "../../words";

const ENDS = [
  ["src", "Who calls", "namespace/kind/name, namespace/pod, node/name, address"],
  ["dst", "Whom", "likewise"],
  ["port", "On which port", "5432, 53/udp"],
] as const;
const ANSWERS: Record<string, string> = { allow: "✓ Allowed", deny: "✕ Denied", unknown: "? Not known" };

export function Explain() {
  const { src, dst, port } = question.value;
  const form = useRef<HTMLFormElement>(null);
  const isAsked = src !== "" && dst !== "" && port !== "";
  const answer = useAsk<ExplainAnswer>("policy/explain", isAsked ? { src, dst, port } : undefined);
  return (
    <>
      <form
        ref={form}
        class="controls"
        onSubmit={(event) => {
          event.preventDefault();
          const written = new FormData(event.currentTarget);
          const of = (name: string) => String(written.get(name) ?? "").trim();
          go({ src: of("src"), dst: of("dst"), port: of("port") });
        }}
      >
        {ENDS.map(([name, title, hint]) => (
          <label key={name}>
            {title} <input name={name} value={question.value[name]} placeholder={hint} title={hint} required />
          </label>
        ))}
        <button type="submit">Explain</button>
        {isAsked && (
          <button
            type="button"
            onClick={() => void copy(`weir policy explain ${quoted(src)} ${quoted(dst)} ${quoted(port)}`)}
          >
            Copy command
          </button>
        )}
      </form>
      {isAsked && (
        <Answer of={answer}>
          {({ rows, notes }) => (
            <>
              {rows.map((row, at) => (
                <Pair key={at} of={row} />
              ))}
              <AnswerLine
                text={rows.length === 1 ? "The same for all pods" : `${rows.length} answers: not the same for all pods`}
                notes={notes}
                stats={undefined}
              />
            </>
          )}
        </Answer>
      )}
    </>
  );
}

function Pair({ of }: { of: ExplainedPair }) {
  return (
    <section aria-label={`${of.client.name} to ${of.server.name}`}>
      <h2>
        {ANSWERS[of.answer] ?? of.answer}: {REASONS[of.reason] ?? of.reason}
      </h2>
      <p>
        {of.client.name} ({of.client.address}) → {of.server.name} ({of.server.address}) {of.port}, as {of.pairs} of{" "}
        {of.all_pairs} pairs of addresses. <span class="quiet">As {of.profile} has it.</span>
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="By side">
        <table>
          <thead>
            <tr>
              <td />
              <th scope="col">Says</th>
              <th scope="col">Why</th>
              <th scope="col">Decided by</th>
              <th scope="col">Isolated by</th>
              <th scope="col">Rules that match</th>
            </tr>
          </thead>
          <tbody>
            <Side title="The client, egress" of={of.egress} />
            <Side title="The server, ingress" of={of.ingress} />
          </tbody>
        </table>
      </div>
      {of.notes.map((note) => (
        <p class="hint" key={note}>
          {note}
        </p>
      ))}
    </section>
  );
}

function Side({ title, of }: { title: string; of: ExplainedSide }) {
  const rules = of.rules.map(({ rule, action, certain }) => `${rule} (${action}${certain ? "" : ", perhaps"})`);
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{ANSWERS[of.answer] ?? of.answer}</td>
      <td>{REASONS[of.reason] ?? of.reason}</td>
      <td>{of.decided_by ?? UNKNOWN}</td>
      <td>{of.isolated_by.join(", ") || UNKNOWN}</td>
      <td>{[...rules, ...of.not_evaluated.map((one) => `${one} (not evaluated)`)].join(", ") || UNKNOWN}</td>
    </tr>
  );
}
