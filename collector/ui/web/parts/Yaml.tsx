// A text of YAML or JSON: pasted, written, or out of a file of this machine.
import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";

import { amount } from "../format";

type Props = {
  label: string;
  text: Signal<string>;
  /** So many bytes at most. */
  most: number;
  rows?: number;
};

export function Yaml({ label, text, most, rows = 12 }: Props) {
  const wrong = useSignal("");
  const read = async (chosen: File | undefined) => {
    if (!chosen) return;
    wrong.value = chosen.size > most ? `${chosen.name} is longer than ${amount(most, "bytes")}.` : "";
    if (chosen.size <= most) text.value = await chosen.text();
  };
  return (
    <div class="text">
      <label>
        {label}
        <textarea
          rows={rows}
          spellcheck={false}
          autocomplete="off"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
      </label>
      <label>
        Out of a file{" "}
        <input type="file" accept=".yaml,.yml,.json" onChange={(event) => void read(event.currentTarget.files?.[0])} />
      </label>
      {wrong.value !== "" && (
        <p class="trouble" role="alert">
          {wrong.value}
        </p>
      )}
    </div>
  );
}
