// With which earlier time one compares.
import { go, question } from "../state";

const TIMES: Array<[string, string]> = [
  ["", "with nothing"],
  ["previous", "the time before"],
  ["1h", "an hour before"],
  ["1d", "a day before"],
  ["1w", "a week before"],
];

export function Compare() {
  const { compare } = question.value;
  // A link may have another one.
  const times = TIMES.some(([time]) => time === compare) ? TIMES : [...TIMES, [compare, `${compare} before`]];
  return (
    <label>
      Compare{" "}
      <select value={compare} onChange={(event) => go({ compare: event.currentTarget.value })}>
        {times.map(([time, text]) => (
          <option key={time} value={time}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
