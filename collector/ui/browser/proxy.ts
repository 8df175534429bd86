// Stands between the browser and the collector: below a prefix, or as what goes wrong there.
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Answers in the collector's place, or does not. */
export type Meddle = (from: IncomingMessage, to: ServerResponse) => boolean;

export type Proxy = { base: string; asked: string[]; close: () => Promise<void> };

export async function proxy(target: string, prefix = "", meddle: Meddle = () => false): Promise<Proxy> {
  const asked: string[] = [];
  const server = createServer((from, to) => {
    const path = from.url ?? "";
    asked.push(path);
    if (!path.startsWith(`${prefix}/`)) {
      to.writeHead(404).end();
      return;
    }
    if (meddle(from, to)) return;
    const on = request(
      target + path.slice(prefix.length),
      { headers: { ...from.headers, host: new URL(target).host } },
      (answer) => {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
      },
    );
    on.on("error", () => to.destroy());
    to.on("close", () => on.destroy());
    on.end();
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const close = () =>
    new Promise<void>((done) => {
      server.closeAllConnections();
      server.close(() => done());
    });
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`, asked, close };
}

export function problem(to: ServerResponse, status: number, kind: string, detail: string): true {
  to.writeHead(status, { "content-type": "application/problem+json" });
  to.end(JSON.stringify({ type: `urn:weir:${kind}`, title: "", status, detail }));
  return true;
}
