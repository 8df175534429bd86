// Which namespaces the policies and workloads are of that a view tells of.
import { useRef } from "preact/hooks";
import { selection } from "../../question";
import { go, me, question, useAsk } from "../../state";
import type { ValuesAnswer } from "../../types";

/** Namespaces that are offered; others can be written. */
const OFFERED = 200;

export function Namespaces() {
  const { ns } = question.value;
  const input = useRef<HTMLInputElement>(null);
  const { since, until } = selection(question.value);
  const known = me.value?.sees_everything ? undefined : me.value?.namespaces;
  const seen = useAsk<ValuesAnswer>("values", known ? undefined : { field: "ns", since, until, limit: OFFERED });
  const offered = known ?? seen.answer?.values.map(({ value }) => value) ?? [];
  return (
    <form
      class="controls"
      onSubmit={(event) => {
        event.preventDefault();
        const name = input.current?.value.trim() ?? "";
        if (name === "" || ns.includes(name)) return;
        if (input.current) input.current.value = "";
        go({ ns: [...ns, name] });
      }}
    >
      <label>
        Namespaces <input ref={input} list="policy-namespaces" placeholder={ns.length === 0 ? "all" : "one more"} />
      </label>
      <datalist id="policy-namespaces">
        {offered
          .filter((name) => name !== "" && !ns.includes(name))
          .map((name) => (
            <option key={name} value={name} />
          ))}
      </datalist>
      <button type="submit">Add</button>
      {ns.map((name) => (
        <span class="chip" key={name}>
          <code>{name}</code>
          <button
            type="button"
            aria-label={`Without namespace ${name}`}
            onClick={() => go({ ns: ns.filter((one) => one !== name) })}
          >
            ✕
          </button>
        </span>
      ))}
    </form>
  );
}
