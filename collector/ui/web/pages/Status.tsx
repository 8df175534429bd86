// What reaches the collector and what it keeps: by tier, by exporter.
import { amount, exact, shorten, time } from "../format";
import { Answer } from "../parts/Answer";
import { Grid } from "../parts/Grid";
import { ago, me, useAsk, utc } from "../state";
import type { ExportersAnswer, StatusAnswer } from "../types";
import { UNKNOWN } from "../words";

export function Status() {
  const everything = me.value?.sees_everything ?? false;
  return (
    <>
      {everything ? (
        <Stored />
      ) : (
        <p class="hint">What is stored and which addresses send is told to those who may get pods in all namespaces.</p>
      )}
      {everything && <Exporters />}
    </>
  );
}

function Stored() {
  const status = useAsk<StatusAnswer>("status", {});
  return (
    <section aria-label="Stored">
      <h2>Stored</h2>
      <Answer of={status}>
        {({ records, store, exporters, version }) => (
          <>
            <dl class="figures">
              <div>
                <dt>Records decoded</dt>
                <dd title={exact(records?.decoded)}>{shorten(records?.decoded ?? 0)}</dd>
              </div>
              <div>
                <dt>Stored</dt>
                <dd title={exact(records?.stored)}>{shorten(records?.stored ?? 0)}</dd>
              </div>
              <div>
                <dt>Dropped</dt>
                <dd title={exact(records?.dropped)}>{shorten(records?.dropped ?? 0)}</dd>
              </div>
              <div>
                <dt>Datagrams that the kernel dropped</dt>
                <dd title={exact(records?.kernel_drops)}>{shorten(records?.kernel_drops ?? 0)}</dd>
              </div>
              {store?.disk && (
                <div>
                  <dt>Free on the disk</dt>
                  <dd title={exact(store.disk.free)}>
                    {amount(store.disk.free, "bytes")} of {amount(store.disk.total, "bytes")}
                  </dd>
                </div>
              )}
            </dl>
            {!store && (
              <p class="trouble">
                Nothing is stored: start the collector with <code>--data-dir DIR</code>.
              </p>
            )}
            {store?.troubles.map((trouble) => (
              <p class="trouble" key={trouble}>
                {trouble}
              </p>
            ))}
            {store?.unreadable.map((file) => (
              <p class="trouble" key={file.file}>
                {file.file} is left out: {file.reason}
              </p>
            ))}
            {store?.disk && store.disk.expired_early > 0 && (
              <p class="trouble">
                {shorten(store.disk.expired_early)} records expired before their time, because the disk was full.
              </p>
            )}
            {store && (
              <Grid
                label="Tiers"
                rows={store.tiers.map((tier) => ({ ...tier }))}
                columns={[
                  { name: "tier", title: "Tier" },
                  { name: "segments", title: "Files", number: true },
                  { name: "rows", title: "Rows", number: true },
                  { name: "bytes", title: "Size", number: true },
                  { name: "oldest", title: "Oldest" },
                  { name: "newest", title: "Newest" },
                ]}
                cell={(row, { name, number }) => ({
                  text:
                    name === "bytes"
                      ? amount(Number(row["bytes"]), "bytes")
                      : number
                        ? shorten(Number(row[name]))
                        : name === "tier"
                          ? String(row["tier"])
                          : row[name]
                            ? time(row[name], utc.value)
                            : UNKNOWN,
                  title: exact(row[name]),
                })}
              />
            )}
            {store && (
              <p class="quiet">
                {shorten(store.memory_rows)} rows are in no file yet. weir-collector {version}.
              </p>
            )}
            {exporters.length > 0 && (
              <p>
                Nodes that are known to export:{" "}
                {exporters.map((one) => `${one.node} (${one.formats.join(", ")})`).join(" · ")}
              </p>
            )}
          </>
        )}
      </Answer>
    </section>
  );
}

const STANDINGS: Record<string, string> = { node: "a node", relay: "a relay", stranger: "a stranger" };

function Exporters() {
  const exporters = useAsk<ExportersAnswer>("exporters", {});
  return (
    <section aria-label="Exporters">
      <h2>Exporters</h2>
      <Answer
        of={exporters}
        empty={({ exporters: all }) =>
          all.length === 0 ? <p class="empty">No datagram came since the collector started.</p> : undefined
        }
      >
        {({ exporters: all, forgotten, without_role }) => (
          <>
            <Grid
              label="Exporters"
              rows={all.map(({ rejected, last_reject, formats, ...of }) => ({
                ...of,
                formats: formats.join(" "),
                refused: rejected.reduce((sum, one) => sum + one.datagrams, 0),
                why: last_reject ? `${last_reject.reason} (${ago(last_reject.time)})` : "",
              }))}
              columns={[
                { name: "address", title: "Address", field: "exporter" },
                { name: "node", title: "Node", field: "exporter_node" },
                { name: "standing", title: "Known as" },
                { name: "formats", title: "Formats" },
                { name: "last_seen", title: "Newest" },
                { name: "datagrams", title: "Datagrams", number: true },
                { name: "records", title: "Records", number: true },
                { name: "lost", title: "Lost", number: true },
                { name: "refused", title: "Refused", number: true },
                { name: "sets_held", title: "Waiting for templates", number: true },
                { name: "why", title: "Refused last" },
              ]}
              cell={(row, { name, number }) => ({
                text:
                  name === "last_seen"
                    ? ago(row["last_seen"] as string | undefined)
                    : name === "standing"
                      ? (STANDINGS[String(row["standing"])] ?? String(row["standing"]))
                      : number
                        ? shorten(Number(row[name] ?? 0))
                        : String(row[name] ?? "") || UNKNOWN,
                title: exact(row[name] as string),
                value: row[name],
              })}
            />
            {forgotten > 0 && (
              <p class="hint">{shorten(forgotten)} addresses were forgotten, because there were too many.</p>
            )}
            {without_role > 1 && (
              <p class="trouble">
                {without_role} exporters are not Open vSwitch and have no role: sums may count what two of them saw
                twice (<code>--exporter-role</code>).
              </p>
            )}
          </>
        )}
      </Answer>
    </section>
  );
}
