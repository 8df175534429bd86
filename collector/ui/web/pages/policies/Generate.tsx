// Policies that let pass what was seen. They are shown, copied, saved and replayed, not applied.
import { Answer, AnswerLine } from "../../parts/Answer";
import { Check, Choice } from "../../parts/Choice";
import { Lines } from "../../parts/Lines";
import { copy } from "../../parts/Menu";
import { Out, save } from "../../parts/Out";
import { command, generation } from "../../question";
import { go, question, useAsk } from "../../state";
import type { GenerateAnswer } from "../../types";
import { APPLY } from "../../words";
import { draft } from "./draft";
import { hoursOf } from "./hours";

const LEVELS = [
  ["", "as pods are labelled"],
  ["workload", "each workload"],
  ["namespace", "each namespace"],
  ["namespace-ports", "each namespace, by port"],
] as const;
const INTERNET = [
  ["", "each address"],
  ["aggregate", "as networks"],
  ["any", "anything"],
] as const;
const KINDS = [
  ["", "NetworkPolicy"],
  ["cnp", "ClusterNetworkPolicy"],
] as const;
const MORE = [
  ["on_top", "On top of what is there", "What hand-written policies allow is not repeated."],
  ["weak", "Also where it is weakly known who called", "Else these calls are not learnt from."],
  ["unanswered", "Also what nobody answered", "Scans, and what is blocked elsewhere."],
  ["denied", "Also what policies deny", "Else it stays denied."],
] as const;

export function Generate() {
  const asked = question.value;
  const params = generation(asked);
  const isAsked = asked.ns.length > 0 || asked.workload !== "";
  const answer = useAsk<GenerateAnswer>("policy/generate", isAsked ? params : undefined);
  return (
    <>
      <div class="controls">
        <Choice label="As wide as" value={asked.level} options={LEVELS} onChange={(level) => go({ level })} />
        <Choice label="Outside" value={asked.internet} options={INTERNET} onChange={(internet) => go({ internet })} />
        <Choice label="As" value={asked.kind} options={KINDS} onChange={(kind) => go({ kind })} />
        {MORE.map(([key, label, hint]) => (
          <Check key={key} label={label} hint={hint} on={asked[key]} onChange={(on) => go({ [key]: on })} />
        ))}
        {asked.workload !== "" && (
          <span class="chip">
            <code>{asked.workload}</code>
            <button type="button" aria-label={`Without ${asked.workload}`} onClick={() => go({ workload: "" })}>
              ✕
            </button>
          </span>
        )}
      </div>
      {!isAsked && (
        <p class="empty">Name a namespace above, or open a workload in Coverage: for its pods policies are made.</p>
      )}
      {isAsked && (
        <Answer of={answer}>
          {({ yaml, report, objects, notes, ...hours }) => (
            <>
              <Lines of={report} what="lines about what was learnt" />
              <p class="buttons">
                <button type="button" onClick={() => void copy(yaml)}>
                  Copy YAML
                </button>
                <button type="button" onClick={() => save("policies.yaml", "application/yaml", yaml)}>
                  Save YAML
                </button>
                <button
                  type="button"
                  onClick={() => {
                    draft.value = yaml;
                    go({ show: "check" });
                  }}
                >
                  Replay it
                </button>
                <Out asks={{ verb: "policy generate", page: "policy/generate", params }} name="policies" />
              </p>
              <pre class="yaml" tabIndex={0} role="region" aria-label="Policies, YAML">
                {yaml}
              </pre>
              <p class="hint">
                To apply it: <code>{command("policy generate", params)} &gt; policies.yaml</code>, then{" "}
                <code>{APPLY}</code>.
              </p>
              <AnswerLine
                text={`${objects.length} ${objects.length === 1 ? "policy" : "policies"}, ${hoursOf(hours)}`}
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
