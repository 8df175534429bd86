// A change before it is made: a form, what the planner says that it would do, and the patch with
// the command that applies it. The address has all that is asked for; nothing is written.
import { asked, PROTOCOLS, plan, present, words } from "../exports";
import { go, question, useAsk } from "../state";
import type { NodeChange, Prepared, Document as Prescription, SourceState } from "../types";
import { EXPORT, SETTINGS } from "../words";
import { Answer } from "./Answer";
import { copy } from "./Menu";

export function Prepare({ source, profiles }: { source: SourceState; profiles: string[] }) {
  const asks = question.value;
  const params = plan(asks);
  const answer = useAsk<Prepared>("exports/plan", params);
  const settings = new Map(asks.set.map((one): [string, string] => [one.split(":")[0] ?? "", one.split(":")[1] ?? ""]));
  const listed = (key: (typeof PROTOCOLS)[number][0], protocol: string) => {
    const list = asks[key];
    return list.length === 0 ? present(source, protocol) : list.filter((one) => one !== "none");
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? "");
    const set = SETTINGS.flatMap(([place]) => {
      const value = text(place).trim();
      return value === "" ? [] : [`${place}:${value}`];
    });
    const lists = PROTOCOLS.map(([key, protocol]) => [key, asked(text(key), present(source, protocol))]);
    go({ ...Object.fromEntries(lists), set, profile: set.length > 0 ? (words(text("profile"))[0] ?? "") : "" });
  };
  return (
    <section aria-label={EXPORT.prepare}>
      <h2>{EXPORT.prepare}</h2>
      <p class="quiet">{EXPORT.prepareWhat}</p>
      <form class="prepare" key={JSON.stringify(params ?? {})} onSubmit={submit}>
        {PROTOCOLS.map(([key, protocol, title]) => (
          <label key={key}>
            {EXPORT.collectorsOf} {title}
            <input name={key} defaultValue={listed(key, protocol).join(", ")} autocomplete="off" spellcheck={false} />
          </label>
        ))}
        <label>
          {EXPORT.profile}
          <input name="profile" defaultValue={asks.profile} list="profiles" autocomplete="off" spellcheck={false} />
        </label>
        <datalist id="profiles">
          {profiles.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        {SETTINGS.map(([place, title]) => (
          <label key={place}>
            {title}
            <input
              name={place}
              defaultValue={settings.get(place) ?? ""}
              placeholder={EXPORT.asItIs}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
        ))}
        <p class="buttons">
          <button type="submit">{EXPORT.whatWould}</button>
          {params && (
            <button type="button" onClick={() => go({ net_flow: [], s_flow: [], ipfix: [], set: [], profile: "" })}>
              {EXPORT.forget}
            </button>
          )}
        </p>
      </form>
      {params && <Answer of={answer}>{(prepared) => <WouldDo prepared={prepared} />}</Answer>}
    </section>
  );
}

function WouldDo({ prepared }: { prepared: Prepared }) {
  const { nodes, changed, total, problems, warnings, steps, documents } = prepared;
  return (
    <>
      <p role="status">{changed === 0 ? EXPORT.changesNothing : `${changed} of ${total} ${EXPORT.wouldBeTold}`}</p>
      <Lines name={EXPORT.skipped} lines={problems} kind="trouble" />
      <Lines name={EXPORT.oneShouldKnow} lines={warnings} kind="hint" />
      {changed > 0 && <Differences nodes={nodes} changed={changed} />}
      {changed > 0 && (
        <>
          <h3>{EXPORT.steps}</h3>
          <ol>
            {steps.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
        </>
      )}
      {documents.map((document) => (
        <Written key={document.object} document={document} />
      ))}
    </>
  );
}

function Lines({ name, lines, kind }: { name: string; lines: string[]; kind: string }) {
  if (lines.length === 0) return null;
  return (
    <>
      <h3>{name}</h3>
      <ul class={kind}>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </>
  );
}

/** Nodes that would be told the same stand together. */
function Differences({ nodes, changed }: { nodes: NodeChange[]; changed: number }) {
  const alike = new Map<string, NodeChange[]>();
  for (const node of nodes) {
    const key = node.differences.join("\n");
    alike.set(key, [...(alike.get(key) ?? []), node]);
  }
  return (
    <>
      <h3>{EXPORT.differences}</h3>
      {[...alike.values()].map((same) => (
        <div key={same[0]?.node}>
          <p>{same.map(({ node }) => node).join(", ")}</p>
          <ul>
            {same[0]?.differences.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </div>
      ))}
      {changed > nodes.length && (
        <p class="hint">
          {changed - nodes.length} {EXPORT.moreNodes}
        </p>
      )}
    </>
  );
}

function Written({ document: { object, yaml, command } }: { document: Prescription }) {
  return (
    <div>
      <h3>{object}</h3>
      <pre tabIndex={0} aria-label={`${EXPORT.patchOf} ${object}`}>
        {yaml}
      </pre>
      <p class="buttons">
        <button type="button" onClick={() => void copy(command)}>
          {EXPORT.copyCommand}
        </button>
        <button type="button" onClick={() => void copy(yaml)}>
          {EXPORT.copyYaml}
        </button>
      </p>
    </div>
  );
}
