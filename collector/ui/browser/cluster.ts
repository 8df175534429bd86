// A collector of a cluster: the program that was built, beside an API server that has a few
// objects. It says who may read what, keeps what it is asked, and lets nothing be written.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const ROWS = "2000";
const REVIEWS = /(tokenreviews|subjectaccessreviews)$/;

/** Objects by path of the API; a list has its items. */
export type Objects = Record<string, object>;

export type Cluster = {
  url: string;
  /** The kubeconfig by which `weir` asks the same API server. */
  kubeconfig: string;
  /** Requests that would have changed something. */
  writes: string[];
  close: () => Promise<void>;
};

/** Who asks with the token `NAME-token` is NAME; `root` may do all, others what `may` says. */
function answer(objects: Objects, writes: string[], may: (user: string, resource: string) => boolean) {
  const list = (items: unknown) => ({ kind: "List", apiVersion: "v1", metadata: { resourceVersion: "1" }, items });
  return async (from: IncomingMessage, to: ServerResponse) => {
    const { pathname, searchParams } = new URL(from.url ?? "", "http://cluster");
    const send = (body: unknown, status = 200) => {
      to.writeHead(status, { "content-type": "application/json" });
      to.end(JSON.stringify(body));
    };
    if (from.method === "POST" && REVIEWS.test(pathname)) {
      const chunks: Buffer[] = [];
      for await (const chunk of from) chunks.push(chunk as Buffer);
      const review = JSON.parse(Buffer.concat(chunks).toString());
      const user = String(review.spec.token ?? "").replace(/-token$/, "");
      const what = review.spec.resourceAttributes?.resource ?? "";
      review.status = pathname.endsWith("tokenreviews")
        ? { authenticated: true, user: { username: user, groups: [] }, audiences: ["weir-collector"] }
        : { allowed: review.spec.user === "root" || may(review.spec.user, what) };
      return send(review, 201);
    }
    if (from.method !== "GET") {
      writes.push(`${from.method} ${pathname}`);
      return send({ kind: "Status", status: "Failure", code: 403, reason: "Forbidden", message: "no" }, 403);
    }
    if (searchParams.get("watch") === "true") {
      to.writeHead(200, { "content-type": "application/json" });
      to.flushHeaders();
      return undefined;
    }
    const object = objects[pathname];
    if (object) return send(Array.isArray(object) ? list(object) : object);
    if (/\/(cluster|[^/]+\/[^/]+-[^/]+)$/.test(pathname))
      return send({ kind: "Status", status: "Failure", code: 404, reason: "NotFound", message: "not found" }, 404);
    return send(list([]));
  };
}

/** Starts both; the store has a few flows. */
export async function cluster(objects: Objects, may: (user: string, resource: string) => boolean): Promise<Cluster> {
  const programs = process.env["PROGRAMS"] ?? "";
  const work = mkdtempSync(join(tmpdir(), "weir-ui-cluster-"));
  const writes: string[] = [];
  const server = createServer((from, to) => void answer(objects, writes, may)(from, to));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(work, "kubeconfig");
  const context = { name: "test", context: { cluster: "test", user: "test" } };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [context],
      clusters: [{ name: "test", cluster: { server: address } }],
      users: [{ name: "test", user: {} }],
    }),
  );
  const [data, ports] = [join(work, "data"), join(work, "ports")];
  execFileSync(process.env["FILL"] ?? "", [data, ROWS]);
  const collector = spawn(
    join(programs, "weir-collector"),
    [
      ...["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--print", "none", "--data-dir", data],
      ...["--kubeconfig", kubeconfig, "--port-file", ports],
    ],
    { env: { ...process.env, RUST_LOG: "error" }, stdio: ["ignore", "ignore", "inherit"] },
  );
  const ended = once(collector, "exit");
  const close = async () => {
    collector.kill();
    await ended;
    server.closeAllConnections();
    server.close();
    rmSync(work, { recursive: true, force: true });
  };
  for (let tries = 0; !existsSync(ports); tries += 1) {
    if (collector.exitCode !== null || tries > 300) {
      await close();
      throw new Error("the collector of a cluster does not start");
    }
    await pause(100);
  }
  const told = JSON.parse(readFileSync(ports, "utf8")) as { http: string };
  return { url: `http://${told.http}`, kubeconfig, writes, close };
}
