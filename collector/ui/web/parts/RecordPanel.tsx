// All of one record: both ends side by side, then what is of the flow itself.
import { equals, join } from "../cel";
import { amount, exact, numberOf, time, unitOf, visible } from "../format";
import { calledOf } from "../layer";
import { carried, nothing } from "../question";
import { addressOf, fields, kindOf, question, utc } from "../state";
import type { Row, Value } from "../types";
import { fieldTitle, UNKNOWN } from "../words";
import { copy, openValueMenu } from "./Menu";

export function RecordPanel({ row, onClose }: { row: Row; onClose: () => void }) {
  const told = [...fields.value.values()].filter((field, at, all) => all.indexOf(field) === at);
  const pairs = told.filter(
    (field) => field.dst_name !== undefined && (has(row[field.name]) || has(row[field.dst_name])),
  );
  const single = told.filter((field) => field.dst_name === undefined && has(row[field.name]));
  const ends = (names: string[]) =>
    join(
      names.filter((name) => has(row[name])).map((name) => equals(name, row[name] as string | number, kindOf(name))),
    );
  const here = { ...nothing(), ...carried(question.value) };
  const explained = calledOf(row);
  return (
    <aside class="side" aria-label="Record">
      <h2>
        Record{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        <li>
          <a
            href={addressOf("flows", {
              ...here,
              filter: ends(["addr", "dst_addr", "protocol", "port", "dst_port"]),
              both_directions: true,
            })}
          >
            Same conversation
          </a>
        </li>
        <li>
          <a href={addressOf("flows", { ...here, filter: ends(["addr", "dst_addr"]), both_directions: true })}>
            Same pair
          </a>
        </li>
        <li>
          {explained && (
            <a href={addressOf("policies", { ...here, ...explained, show: "explain" })}>What policies say</a>
          )}
        </li>
        <li>
          <button type="button" class="link" onClick={() => void copy(JSON.stringify(row, null, 1))}>
            Copy as JSON
          </button>
        </li>
      </ul>
      <table>
        <caption>Both ends</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">Source</th>
            <th scope="col">Destination</th>
          </tr>
        </thead>
        <tbody>
          {pairs.map(({ name, dst_name = "", description }) => (
            <tr key={name}>
              <th scope="row" title={description}>
                {fieldTitle(name)}
              </th>
              <Shown name={name} value={row[name]} />
              <Shown name={dst_name} value={row[dst_name]} />
            </tr>
          ))}
        </tbody>
      </table>
      <table>
        <caption>The flow</caption>
        <tbody>
          {single.map(({ name, description }) => (
            <tr key={name}>
              <th scope="row" title={description}>
                {fieldTitle(name)}
              </th>
              <Shown name={name} value={row[name]} />
            </tr>
          ))}
        </tbody>
      </table>
    </aside>
  );
}

const has = (value: Value | undefined) =>
  value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0);

function Shown({ name, value }: { name: string; value: Value | undefined }) {
  if (!has(value)) return <td>{UNKNOWN}</td>;
  if (typeof value === "object" && !Array.isArray(value))
    return (
      <td>
        {Object.entries(value).map(([key, of]) => (
          <div key={key}>{visible(`${key}=${of}`)}</div>
        ))}
      </td>
    );
  const number = numberOf(value);
  const text =
    kindOf(name) === "time"
      ? time(value, utc.value)
      : unitOf(name) === "bytes" && number !== undefined
        ? `${amount(number, "bytes")} (${exact(value)})`
        : Array.isArray(value)
          ? value.join(" ")
          : String(value);
  return (
    <td>
      <button
        type="button"
        class="value"
        aria-haspopup="menu"
        onClick={(event) => openValueMenu(event.currentTarget, name, value)}
      >
        {visible(text)}
      </button>
    </td>
  );
}
