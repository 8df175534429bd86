// What a client called of a server, beside the matrix.
import { equals, join, terms } from "../../cel";
import { exact, measured, time } from "../../format";
import { peerName } from "../../layer";
import { type End, fromServer, tellingFields } from "../../matrix";
import { Answer, AnswerLine } from "../../parts/Answer";
import { openValueMenu } from "../../parts/Menu";
import { carried, matrix, nothing } from "../../question";
import { addressOf, kindOf, question, useAsk, utc } from "../../state";
import type { MatrixAnswer } from "../../types";
import { measureTitle, STRENGTHS, UNKNOWN } from "../../words";

/** What a client called of a server: ports, sums, what it rests on. */
export function Pair({ client, server, onClose }: { client: End; server: End; onClose: () => void }) {
  const asked = question.value;
  // A filter whose source may be either end says nothing of one end alone.
  const either = asked.direction === "both";
  const direction = either ? "" : asked.direction;
  const conditions = [...tellingFields(client), ...tellingFields(server)].map(([name, value]) => {
    const read = direction === "in" ? fromServer(name) : name;
    return equals(read, value, kindOf(read));
  });
  const own = either ? [] : terms(asked.filter);
  const filter = join([...own, ...conditions.filter((one) => !own.includes(one))]);
  const params = matrix({ ...asked, filter, direction, ports: true, top: 200 });
  const [src, dst] = [peerName(client.fields, ""), peerName(server.fields, "dst_")];
  const answer = useAsk<MatrixAnswer>("matrix", params);
  return (
    <aside class="side" aria-label="Client and server">
      <h2>
        {client.title} → {server.title}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        <li>
          <a href={addressOf("flows", { ...nothing(), ...carried(asked), filter, both_directions: true })}>Flows</a>
        </li>
        {direction === "" && (
          <li>
            <a
              href={addressOf("flows", {
                ...nothing(),
                ...carried(asked),
                filter,
                group_by: ["policy_verdict", "policy_reason", "dst_port"],
              })}
            >
              What policies said
            </a>
          </li>
        )}
        {src && dst && (
          <li>
            <a
              href={addressOf("policies", {
                ...nothing(),
                ...carried(asked),
                show: "explain",
                src,
                dst,
                port: String(server.fields["dst_port"] ?? ""),
              })}
            >
              What policies say
            </a>
          </li>
        )}
        <li>
          <button
            type="button"
            class="link"
            aria-haspopup="menu"
            onClick={(event) => menuOf(event.currentTarget, client)}
          >
            The client …
          </button>
        </li>
        <li>
          <button
            type="button"
            class="link"
            aria-haspopup="menu"
            onClick={(event) => menuOf(event.currentTarget, server)}
          >
            The server …
          </button>
        </li>
      </ul>
      {either && asked.filter !== "" && <p class="hint">All calls between the two, whatever the filter says.</p>}
      <Answer of={answer}>
        {({ rows, notes }) => (
          <>
            <div class="scroll" tabIndex={0} role="region" aria-label="Ports">
              <table>
                <caption>Ports</caption>
                <thead>
                  <tr>
                    {[
                      "dst_port",
                      "protocol",
                      "bytes",
                      "reverse_bytes",
                      "connections",
                      "strength",
                      "evidence",
                      "last_seen",
                    ].map((name) => (
                      <th scope="col" key={name}>
                        {measureTitle(name).replace("Destination port", "Port")}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {rows.map((row, at) => (
                    <tr key={at}>
                      <td>{String(row["dst_port"] ?? "several")}</td>
                      <td>{String(row["protocol"] ?? row["proto"] ?? "")}</td>
                      <td class="number">{measured(row, "bytes", utc.value)}</td>
                      <td class="number">{measured(row, "reverse_bytes", utc.value)}</td>
                      <td class="number">{exact(row["connections"]) || UNKNOWN}</td>
                      <td>{STRENGTHS[String(row["strength"])] ?? String(row["strength"])}</td>
                      <td>
                        {Array.isArray(row["evidence"]) ? row["evidence"].join(" ") : String(row["evidence"] ?? "")}
                      </td>
                      <td>{time(row["last_seen"], utc.value)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <AnswerLine
              text={`${rows.length} ${rows.length === 1 ? "port" : "ports"}`}
              notes={notes}
              stats={undefined}
            />
          </>
        )}
      </Answer>
    </aside>
  );
}

function menuOf(opener: HTMLElement, end: End): void {
  const [name, value] =
    tellingFields(end)
      .filter(([field]) => field !== "dst_port" && field !== "protocol")
      .at(-1) ?? [];
  if (name) openValueMenu(opener, name, value);
}
