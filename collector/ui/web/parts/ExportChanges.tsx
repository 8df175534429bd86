// What was changed of the export, and when: the same that charts have as marks.
import { age, time } from "../format";
import { carried } from "../question";
import { writeMoment } from "../span";
import { addressOf, question, useAsk, utc } from "../state";
import type { ExportChange, ExportChangesAnswer } from "../types";
import { EXPORT } from "../words";
import { Answer } from "./Answer";
import { Missing } from "./Conditions";

/** What is shown before and after a change, in milliseconds. */
const AROUND = 1_800_000;

export function ExportChanges() {
  const answer = useAsk<ExportChangesAnswer>("exports/changes", {});
  return (
    <section aria-label={EXPORT.changes}>
      <h2>{EXPORT.changes}</h2>
      <Answer of={answer}>
        {({ changes, hidden, unread }) => (
          <>
            {changes.length === 0 ? (
              <p class="empty">{EXPORT.noChanges}</p>
            ) : (
              <ol class="changes">
                {changes.map((change) => (
                  <Change key={`${change.number} ${change.time}`} change={change} />
                ))}
              </ol>
            )}
            {changes.every(({ number }) => number === undefined) && <p class="hint">{EXPORT.keptWithRollout}</p>}
            <Missing hidden={hidden} unread={unread} />
          </>
        )}
      </Answer>
    </section>
  );
}

function Change({ change }: { change: ExportChange }) {
  const { time: asked, completed, by, number, state, asks, differences } = change;
  const at = Date.parse(asked);
  const around = addressOf("overview", {
    ...carried(question.value),
    since: writeMoment(at - AROUND),
    until: writeMoment(at + AROUND),
  });
  return (
    <li>
      <p>
        <strong>{time(asked, utc.value)}</strong> {asks}{" "}
        <span class="quiet">
          {[
            number !== undefined ? `${EXPORT.revision} ${number}` : "",
            state,
            by ? `${EXPORT.by} ${by}` : "",
            completed ? `${EXPORT.allAfter} ${age((Date.parse(completed) - at) / 1000)}` : "",
          ]
            .filter((word) => word !== "" && word !== "-")
            .join(", ")}
        </span>{" "}
        <a href={around}>{EXPORT.around}</a>
      </p>
      {differences.length > 0 && (
        <ul>
          {differences.map((difference) => (
            <li key={difference}>{difference}</li>
          ))}
        </ul>
      )}
    </li>
  );
}
