// How much flows in the time that is asked about.
import { expired, later, starts } from "../axis";
import { type Mark, marks } from "../exports";
import { numberOf } from "../format";
import { type Params, selection } from "../question";
import { bucketOf, lengthOf } from "../span";
import { me, question, range, useAsk } from "../state";
import type { ExportChangesAnswer, QueryAnswer, Row } from "../types";
import { Answer } from "./Answer";
import { Chart } from "./Chart";

/** Points of a chart at most. */
const POINTS = 180;

/** A question by time, with the buckets that fit. */
export function byTime(params: Params): { params: Params; length: number } | undefined {
  if (!range.value) return undefined;
  const bucket = bucketOf(range.value, POINTS);
  return { params: { ...selection(question.value), ...params, bucket }, length: lengthOf(bucket) ?? 60_000 };
}

/** Values of a measure by bucket; a bucket without a record has nothing of it. */
export function values(rows: Row[], times: number[], length: number, measure: string): number[] {
  const found = new Array<number>(times.length).fill(0);
  for (const row of rows) {
    const at = Math.round((Date.parse(String(row["time"])) - (times[0] ?? 0)) / length);
    if (at >= 0 && at < found.length) found[at] = numberOf(row[measure]) ?? 0;
  }
  return found;
}

/** Changes of the export in the time that is asked about, where they are known. */
export function useMarks(): Mark[] {
  const answer = useAsk<ExportChangesAnswer>("exports/changes", me.value?.cluster ? {} : undefined).answer;
  return answer && range.value ? marks(answer.changes, range.value) : [];
}

export function RateChart({ height }: { height?: number }) {
  const { compare } = question.value;
  const asked = byTime({ measures: ["byte_rate"], by: "byte_rate", top: 1, compare });
  const answer = useAsk<QueryAnswer>("query", asked?.params);
  const changed = useMarks();
  return (
    <Answer of={answer}>
      {({ rows, notes }) => {
        if (!range.value || !asked) return null;
        const gone = expired(notes);
        const { since, until } = range.value;
        const before = compare === "previous" ? until - since : (lengthOf(compare) ?? 0);
        const times = starts(range.value, asked.length);
        const series = [{ name: "Byte rate", colour: 1, values: values(rows, times, asked.length, "byte_rate") }];
        return (
          <Chart
            title="Rate"
            series={series}
            range={range.value}
            bucket={asked.length}
            unit="byte_rate"
            gone={gone}
            {...(height ? { height } : {})}
            marks={changed}
            then={
              compare
                ? {
                    name: "then",
                    colour: 0,
                    values: values(rows, times, asked.length, "byte_rate_then"),
                    gone: later(gone, before),
                  }
                : undefined
            }
          />
        );
      }}
    </Answer>
  );
}
