// From when until when, and how often it is asked anew.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { time } from "../format";
import { lengthOf, momentOf, type Range, shifted, widened, writeMoment } from "../span";
import { again, every, go, now, question, range, round, utc } from "../state";
import { PRESETS, REFRESH } from "../words";
import { place } from "./Menu";

const set = ({ since, until }: Range) => go({ since: writeMoment(since), until: writeMoment(until) });

/** Earlier or later by half of the range; never behind now. */
export function shift(by: number): void {
  const meant = range.peek();
  if (!meant) return;
  const moved = shifted(meant, by);
  set(untilNow(moved));
}

/** The range as it is, or as much earlier as it would end behind now. */
function untilNow(meant: Range): Range {
  const late = meant.until - now();
  return late > 0 ? shifted(meant, -late / (meant.until - meant.since)) : meant;
}

/** A time without a zone is of the zone that is shown. */
const zoned = (text: string) =>
  utc.peek() && /^\d{4}-\d\d-\d\d([T ][\d:.]+)?$/.test(text.trim())
    ? `${text.trim().replace(" ", "T")}${/[T ]/.test(text.trim()) ? "Z" : "T00:00Z"}`
    : text;

/** What the range is called. */
function called(): string {
  const { since, until } = question.value;
  if (until === "" && lengthOf(since) !== undefined) return `last ${since}`;
  const meant = range.value;
  if (!meant) return "no range";
  return `${time(writeMoment(meant.since), utc.value)} to ${until === "" ? "now" : time(writeMoment(meant.until), utc.value)}`;
}

export function TimePicker() {
  const popover = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const open = () => {
    popover.current?.togglePopover();
    if (opener.current && popover.current) place(popover.current, opener.current.getBoundingClientRect());
  };
  return (
    <div class="time" role="group" aria-label="Time">
      <button type="button" id="time" ref={opener} aria-haspopup="dialog" onClick={open}>
        {called()} ▾
      </button>
      <button type="button" aria-label="Earlier" title="Earlier: [" onClick={() => shift(-0.5)}>
        ◂
      </button>
      <button type="button" aria-label="Later" title="Later: ]" onClick={() => shift(0.5)}>
        ▸
      </button>
      <button
        type="button"
        aria-label="Twice as long"
        title="Twice as long"
        onClick={() => range.value && set(untilNow(widened(range.value)))}
      >
        ⤢
      </button>
      {question.value.until !== "" && (
        <button type="button" onClick={() => go({ since: "1h", until: "" })}>
          To now
        </button>
      )}
      <div class="popover" popover="auto" role="dialog" aria-label="Time" ref={popover}>
        <div class="presets" role="group" aria-label="The last">
          {PRESETS.map((preset) => (
            <button
              type="button"
              key={preset}
              aria-pressed={question.value.until === "" && question.value.since === preset}
              onClick={() => {
                popover.current?.hidePopover();
                go({ since: preset, until: "" });
              }}
            >
              {preset}
            </button>
          ))}
        </div>
        <Custom done={() => popover.current?.hidePopover()} />
        <label class="check">
          <input
            type="checkbox"
            checked={utc.value}
            onChange={(event) => go({ tz: event.currentTarget.checked ? "utc" : "" })}
          />{" "}
          Times in UTC
        </label>
      </div>
      <Refresh />
    </div>
  );
}

function Custom({ done }: { done: () => void }) {
  const since = useSignal(question.value.since);
  const until = useSignal(question.value.until);
  const wrong = useSignal("");
  useEffect(() => {
    since.value = question.value.since;
    until.value = question.value.until;
  }, [question.value.since, question.value.until]);
  const apply = (event: Event) => {
    event.preventDefault();
    const at = now();
    const [from, to] = [momentOf(zoned(since.value) || "1h", at), momentOf(zoned(until.value), at)];
    if (from === undefined || to === undefined)
      wrong.value = "Write how long ago (2h, 1d12h), or a time such as 2026-01-31T14:00.";
    else if (from >= to) wrong.value = "It has to begin before it ends.";
    else {
      wrong.value = "";
      const told = (text: string, at: number) =>
        /^\d+[a-z]|^now$|^$/.test(text.trim()) ? text.trim().replace(/ ago$|^now$/, "") : writeMoment(at);
      go({ since: told(since.value, from) || "1h", until: told(until.value, to) });
      done();
    }
  };
  return (
    <form onSubmit={apply}>
      <label>
        From{" "}
        <input
          type="text"
          value={since.value}
          aria-describedby="time-wrong"
          onInput={(event) => {
            since.value = event.currentTarget.value;
          }}
        />
      </label>
      <label>
        Until{" "}
        <input
          type="text"
          placeholder="now"
          value={until.value}
          aria-describedby="time-wrong"
          onInput={(event) => {
            until.value = event.currentTarget.value;
          }}
        />
      </label>
      <p id="time-wrong" class="wrong" role="alert">
        {wrong.value}
      </p>
      <button type="submit">Use this time</button>
    </form>
  );
}

function Refresh() {
  const fixed = question.value.until !== "";
  return (
    <>
      <button
        type="button"
        aria-label="Ask again"
        title={`Ask again: r. Asked ${new Date(round.value.at).toLocaleTimeString()}`}
        onClick={again}
      >
        ⟳
      </button>
      <label class="hidden" for="refresh">
        Ask again every
      </label>
      <select
        id="refresh"
        disabled={fixed}
        title={fixed ? "Only while the time ends now" : "Ask again every"}
        value={String(fixed ? 0 : every.value)}
        onChange={(event) => {
          every.value = Number(event.currentTarget.value);
        }}
      >
        {REFRESH.map(([text, seconds]) => (
          <option key={text} value={seconds}>
            {text}
          </option>
        ))}
      </select>
    </>
  );
}
