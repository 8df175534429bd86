// Conditions in words with what to do, and what is not told of the export.
import { time } from "../format";
import { utc } from "../state";
import type { Level, StatedCondition } from "../types";
import { CONDITIONS, EXPORT } from "../words";

/** How bad something is: a sign, and its name. */
const SIGNS: Record<Level, [string, string]> = {
  fine: ["✓", EXPORT.fine],
  note: ["?", EXPORT.note],
  fault: ["✕", EXPORT.fault],
};

/** What is not told, and what could not be read. */
export function Missing({ hidden, unread }: { hidden: string[]; unread: string[] }) {
  return (
    <>
      {hidden.map((what) => (
        <p class="hint" key={what}>
          {EXPORT.hidden} {what}.
        </p>
      ))}
      {unread.map((why) => (
        <p class="trouble" key={why}>
          {EXPORT.unread} {why}
        </p>
      ))}
    </>
  );
}

/** A condition in words, with what to do about it. */
export function Condition({ condition }: { condition: StatedCondition }) {
  const { type, status, reason, message, since, level, remedy } = condition;
  const [sign, name] = SIGNS[level];
  return (
    <li class={`condition level-${level}`}>
      <p>
        <span class="sign" role="img" aria-label={name}>
          {sign}
        </span>{" "}
        <strong title={type}>{CONDITIONS[type]?.[status] ?? `${type} ${status}`}</strong>{" "}
        <span class="quiet">
          {reason}, {EXPORT.since} {time(since, utc.value)}
        </span>
      </p>
      {message && <p>{message}</p>}
      {remedy && (
        <p class="remedy">
          {EXPORT.whatToDo}: {remedy}
        </p>
      )}
    </li>
  );
}
