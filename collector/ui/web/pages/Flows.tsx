// The flows: sums over groups, each side grouped on its own, or the records themselves.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { equals, join, terms } from "../cel";
import { exact, measured, numberOf, shorten } from "../format";
import { Answer, AnswerLine, Empty, Unfilled } from "../parts/Answer";
import { Compare } from "../parts/Compare";
import { FieldPicker, isDestination, levelsOf } from "../parts/Fields";
import { type Column, Grid } from "../parts/Grid";
import { Live } from "../parts/Live";
import { Out } from "../parts/Out";
import { RateChart } from "../parts/RateChart";
import { Records, shownValue } from "../parts/Records";
import { TimeScroll } from "../parts/TimeScroll";
import { byOf, encode, isByTime, measuresOf, nothing, type Question, sums } from "../question";
import { addressOf, go, kindOf, question, useAsk, utc } from "../state";
import type { QueryAnswer, Row } from "../types";
import { fieldTitle, measureTitle, UNKNOWN } from "../words";

const MORE = [50, 200, 1000];

export function Flows() {
  const asked = question.value;
  return (
    <>
      <Controls />
      {!(asked.live && asked.group_by.length === 0) && <RateChart height={90} />}
      <Unfilled names={[...asked.group_by, ...asked.columns]} />
      {asked.group_by.length > 0 ? (
        <Groups />
      ) : asked.live ? (
        <Live />
      ) : asked.show === "all" && isByTime(asked) ? (
        <TimeScroll />
      ) : (
        <Records />
      )}
    </>
  );
}

function Controls() {
  const asked = question.value;
  const sources = asked.group_by.filter((name) => !isDestination(name));
  const destinations = asked.group_by.filter(isDestination);
  const group = (group_by: string[]) => go({ group_by, columns: [], order: "", live: false });
  const grouped = asked.group_by.length > 0;
  return (
    <div class="controls">
      <FieldPicker
        label="Source by"
        chosen={sources}
        presets={levelsOf(false)}
        may={(name) => !isDestination(name) && kindOf(name) !== "map"}
        onChange={(chosen) => group([...chosen, ...destinations])}
      />
      <FieldPicker
        label="Destination by"
        chosen={destinations}
        presets={levelsOf(true)}
        may={isDestination}
        onChange={(chosen) => group([...sources, ...chosen])}
      />
      {grouped && (
        <button type="button" onClick={() => group([])}>
          Show records
        </button>
      )}
      {grouped && (
        <button
          type="button"
          aria-pressed={asked.conversation}
          onClick={() => go({ conversation: !asked.conversation, measures: [], by: "" })}
        >
          Both directions
        </button>
      )}
      {!grouped && (
        <button
          type="button"
          aria-pressed={asked.both_directions}
          onClick={() => go({ both_directions: !asked.both_directions })}
        >
          Also the replies
        </button>
      )}
      {grouped && <Compare />}
      {!grouped && (
        <FieldPicker
          label="Columns"
          none="the usual"
          chosen={asked.columns}
          may={() => true}
          onChange={(columns) => go({ columns })}
        />
      )}
      {!grouped && (
        <button type="button" aria-pressed={asked.live} onClick={() => go({ live: !asked.live })}>
          Live
        </button>
      )}
      {!grouped && !asked.live && isByTime(asked) && (
        <button
          type="button"
          aria-pressed={asked.show === "all"}
          title="All records of the time in one table, whose scrollbar is time"
          onClick={() => go({ show: asked.show === "all" ? "" : "all" })}
        >
          Scroll through all
        </button>
      )}
      {!grouped && !asked.live && (
        <label>
          Order{" "}
          <select value={asked.order} onChange={(event) => go({ order: event.currentTarget.value })}>
            <option value="">newest first</option>
            <option value="oldest">oldest first</option>
            <option value="bytes">most bytes</option>
            <option value="packets">most packets</option>
            <option value="duration">longest</option>
          </select>
        </label>
      )}
      <label class="check">
        <input
          type="checkbox"
          checked={asked.all_observations}
          onChange={(event) => go({ all_observations: event.currentTarget.checked })}
        />{" "}
        Every observation
      </label>
    </div>
  );
}

function Groups() {
  const asked = question.value;
  const params = sums(asked);
  const answer = useAsk<QueryAnswer>("query", params);
  const by = byOf(asked);
  // The group that is opened, by its fields: answers come in another order.
  const opened = useSignal("");
  const keyOf = (row: Row) => JSON.stringify(asked.group_by.map((name) => row[name] ?? ""));
  const key = encode(params);
  useEffect(() => {
    opened.value = "";
  }, [key]);
  return (
    <Answer of={answer} empty={({ rows }) => (rows.length === 0 ? <Empty /> : undefined)}>
      {({ rows, other, totals, groups, columns, notes, stats }) => {
        const whole = Math.max(numberOf(totals[by]) ?? 0, 1);
        const heads = columns.map((name): Column => columnOf(name, asked, by));
        const at = rows.findIndex((row) => keyOf(row) === opened.value);
        const open = rows[at];
        const top = asked.top || 50;
        const next = MORE.find((more) => more > top);
        return (
          <div class="with-side">
            <div>
              <Grid
                label="Groups"
                rows={rows}
                all={groups}
                columns={heads}
                opened={at}
                onOpen={(row) => {
                  opened.value = opened.value === keyOf(row) ? "" : keyOf(row);
                }}
                cell={(row, { name, number }) =>
                  number
                    ? {
                        text: (
                          <>
                            {name === "compared" ? String(row[name] ?? "") : measured(row, name, utc.value)}
                            {name === by && (
                              <meter min={0} max={whole} value={numberOf(row[name]) ?? 0} aria-hidden="true" />
                            )}
                          </>
                        ),
                        title: exact(row[name]),
                      }
                    : { text: shownValue(row, name), value: row[name] }
                }
                foot={[
                  ...other.map((row) => ({ label: `Other (${shorten(groups - rows.length)})`, row })),
                  { label: "All", row: totals },
                ]}
              />
              <p class="buttons">
                {groups > rows.length && next && (
                  <button type="button" onClick={() => go({ top: next })}>
                    Show {next} groups
                  </button>
                )}
                <Out asks={{ verb: "flows", page: "query", params }} rows={rows} columns={columns} name="groups" />
              </p>
              <AnswerLine
                text={`${shorten(groups)} ${groups === 1 ? "group" : "groups"}, ${rows.length} ${asked.bucket ? "rows" : ""} shown`}
                notes={notes}
                stats={stats}
                how={params}
              />
            </div>
            {open && (
              <GroupPanel
                row={open}
                onClose={() => {
                  opened.value = "";
                }}
              />
            )}
          </div>
        );
      }}
    </Answer>
  );
}

function columnOf(name: string, asked: Question, by: string): Column {
  if (name === "time") return { name, title: "Time" };
  if (asked.group_by.includes(name)) return { name, title: fieldTitle(name), hint: name, field: name };
  const sortable = measuresOf(asked).includes(name);
  return {
    name,
    title: measureTitle(name),
    hint: name,
    number: true,
    sorted: name === by,
    ...(sortable ? { sort: () => go({ by: name }) } : {}),
  };
}

/** One group: what is in it, by what else there is to group by. */
function GroupPanel({ row, onClose }: { row: Row; onClose: () => void }) {
  const asked = question.value;
  const conditions = asked.group_by.map((name) =>
    equals(name, row[name] as string | number | boolean | undefined, kindOf(name)),
  );
  const filter = join([...terms(asked.filter), ...conditions.filter((one) => !terms(asked.filter).includes(one))]);
  const next = ["workload_name", "pod_name", "addr"].find((name) => !asked.group_by.includes(name)) ?? "dst_port";
  const levels = [
    [next, `By ${fieldTitle(next).toLowerCase()}`],
    ["dst_port", "By port"],
    ["dst_workload_name", "By destination workload"],
  ].filter(([name]) => !asked.group_by.includes(name ?? ""));
  return (
    <aside class="side" aria-label="Group">
      <h2>
        Group{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        <li>
          <a href={addressOf("flows", { ...nothing(), ...carry(asked), filter })}>Its records</a>
        </li>
        {levels.map(([name = "", title]) => (
          <li key={name}>
            <a
              href={addressOf("flows", {
                ...nothing(),
                ...carry(asked),
                filter,
                group_by: [...asked.group_by, name],
                conversation: asked.conversation,
              })}
            >
              {title}
            </a>
          </li>
        ))}
        <li>
          <a href={addressOf("overview", { ...nothing(), ...carry(asked), filter })}>In the overview</a>
        </li>
      </ul>
      <Inside filter={filter} next={next} asked={asked} />
      <dl class="pairs">
        {Object.entries(row).map(([name, value]) => (
          <div key={name}>
            <dt title={name}>{measureTitle(name)}</dt>
            <dd>{exact(value as string) || UNKNOWN}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

const carry = ({ since, until, all_observations, tz }: Question) => ({ since, until, all_observations, tz });

/** The group's parts at the next finer level. */
function Inside({ filter, next, asked }: { filter: string; next: string; asked: Question }) {
  const params = sums({
    ...nothing(),
    ...carry(asked),
    filter,
    group_by: [next],
    conversation: asked.conversation,
    by: byOf(asked),
    top: 8,
  });
  const answer = useAsk<QueryAnswer>("query", params);
  const by = byOf(asked);
  return (
    <Answer of={answer}>
      {({ rows, other, groups }) => (
        <Grid
          label={`The group by ${next}`}
          rows={rows}
          all={groups}
          columns={[
            { name: next, title: fieldTitle(next), field: next },
            { name: by, title: measureTitle(by), number: true },
          ]}
          cell={(row, { name, number }) =>
            number
              ? { text: measured(row, name, utc.value), title: exact(row[name]) }
              : { text: shownValue(row, name), value: row[name] }
          }
          foot={other.map((row) => ({ label: `${groups - rows.length} more`, row }))}
        />
      )}
    </Answer>
  );
}
