// Policies beside the traffic that was seen: what they cover, what they say, what a change would
// have done. Each view is a page of the API; nothing here changes the cluster.
import type { ComponentType } from "preact";
import { addressOf, go, me, question, range } from "../state";
import { POLICY_VIEWS } from "../words";
import { Check } from "./policies/Check";
import { Coverage } from "./policies/Coverage";
import { Disagreements } from "./policies/Disagreements";
import { Explain } from "./policies/Explain";
import { Generate } from "./policies/Generate";
import { Namespaces } from "./policies/Namespaces";
import { Rules } from "./policies/Rules";

const VIEWS: Record<string, ComponentType> = {
  "": Coverage,
  rules: Rules,
  disagreements: Disagreements,
  generate: Generate,
  check: Check,
  explain: Explain,
};
const DAY = 86_400_000;
/** What is said of policies when nobody says since when, in the CLI too. */
const USUAL = "7d";

export function Policies() {
  const asked = question.value;
  const [name, title, answers] = POLICY_VIEWS.find(([view]) => view === asked.show) ?? POLICY_VIEWS[0] ?? ["", "", ""];
  const View = VIEWS[name] ?? Coverage;
  const meant = range.value;
  return (
    <>
      <nav class="views" aria-label="Views of policies">
        <ul>
          {POLICY_VIEWS.map(([view, text]) => (
            <li key={view}>
              <a
                href={addressOf("policies", { ...asked, show: view })}
                aria-current={view === name ? "page" : undefined}
              >
                {text}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <p class="hint">{answers}</p>
      {name !== "explain" && name !== "check" && <Namespaces />}
      {name !== "explain" && meant && meant.until - meant.since < DAY && (
        <p class="hint">
          What did not run in this time was not seen.{" "}
          <button type="button" onClick={() => go({ since: USUAL, until: "" })}>
            Take the last 7 days
          </button>
        </p>
      )}
      <section aria-label={title}>
        <View />
      </section>
      {me.value && !me.value.sees_everything && (
        <p class="hint">
          Names and rules of policies are told where you may get networkpolicies, traffic where you may get pods.
        </p>
      )}
    </>
  );
}
