// Choosing fields: those of one side to group by, and any as columns.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { fields } from "../state";
import { fieldTitle, LEVELS } from "../words";
import { place } from "./Menu";

type Props = {
  label: string;
  chosen: string[];
  may: (name: string) => boolean;
  presets?: Array<[string, string[]]>;
  none?: string;
  onChange: (chosen: string[]) => void;
};

/** The fields that are chosen, each to be taken out, and a list to choose from. */
export function FieldPicker({ label, chosen, may, presets = [], none = "nothing", onChange }: Props) {
  const popover = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const search = useSignal("");
  const open = () => {
    popover.current?.togglePopover();
    if (opener.current && popover.current) place(popover.current, opener.current.getBoundingClientRect());
  };
  const wanted = search.value.toLowerCase();
  const offered = [...fields.value].filter(
    ([name, field]) => may(name) && `${name} ${fieldTitle(name)} ${field.description}`.toLowerCase().includes(wanted),
  );
  const move = (at: number, by: number) => {
    const name = chosen[at];
    if (name !== undefined) onChange(chosen.toSpliced(at, 1).toSpliced(Math.max(0, at + by), 0, name));
  };
  return (
    <div class="picker" role="group" aria-label={label}>
      <span>{label}</span>
      <button type="button" ref={opener} aria-haspopup="dialog" onClick={open}>
        {chosen.length === 0
          ? none
          : chosen.map((name) => fieldTitle(name.replace(/^dst_/, "")).toLowerCase()).join(", ")}{" "}
        ▾
      </button>
      <div class="popover" popover="auto" role="dialog" aria-label={label} ref={popover}>
        {presets.length > 0 && (
          <div class="presets" role="group" aria-label="Usual">
            <button type="button" onClick={() => onChange([])}>
              nothing
            </button>
            {presets.map(([name, of]) => (
              <button type="button" key={name} aria-pressed={of.join() === chosen.join()} onClick={() => onChange(of)}>
                {name}
              </button>
            ))}
          </div>
        )}
        {presets.length === 0 && chosen.length > 0 && (
          <button type="button" onClick={() => onChange([])}>
            Back to the usual
          </button>
        )}
        {chosen.length > 1 && (
          <ol class="order">
            {chosen.map((name, at) => (
              <li key={name}>
                {fieldTitle(name)}
                <button type="button" aria-label={`Move ${name} up`} disabled={at === 0} onClick={() => move(at, -1)}>
                  ↑
                </button>
                <button
                  type="button"
                  aria-label={`Move ${name} down`}
                  disabled={at === chosen.length - 1}
                  onClick={() => move(at, 1)}
                >
                  ↓
                </button>
              </li>
            ))}
          </ol>
        )}
        <label>
          Search{" "}
          <input
            type="search"
            value={search.value}
            onInput={(event) => {
              search.value = event.currentTarget.value;
            }}
          />
        </label>
        <ul class="choices">
          {offered.map(([name, field]) => (
            <li key={name}>
              <label class="check" title={field.description}>
                <input
                  type="checkbox"
                  checked={chosen.includes(name)}
                  onChange={(event) =>
                    onChange(event.currentTarget.checked ? [...chosen, name] : chosen.filter((one) => one !== name))
                  }
                />
                {fieldTitle(name)} <code>{name}</code>
                {!field.filled && <span class="quiet"> not filled yet</span>}
              </label>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

export const isDestination = (name: string) => name.startsWith("dst_");
/** Presets of one side. */
export const levelsOf = (destination: boolean): Array<[string, string[]]> =>
  LEVELS.map(([name, of]) => [name, destination ? of.map((field) => `dst_${field}`) : of]);
