// A collector over a store of named flows, for as long as the tests run. It is the program
// that was built, on loopback, with a directory of its own.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { TestProject } from "vitest/node";

const ROWS = "60000";

declare module "vitest" {
  export interface ProvidedContext {
    url: string;
    udp: string;
    weir: string;
  }
}

export default async function start(project: TestProject): Promise<() => Promise<void>> {
  const programs = process.env["PROGRAMS"];
  const fill = process.env["FILL"];
  if (!programs || !fill)
    throw new Error("PROGRAMS is the folder of weir-collector and weir, FILL the program that makes a store");
  const work = mkdtempSync(join(tmpdir(), "weir-ui-"));
  const data = join(work, "data");
  execFileSync(fill, [data, ROWS]);
  const ports = join(work, "ports");
  const { KUBECONFIG: _, KUBERNETES_SERVICE_HOST: __, ...env } = process.env;
  const collector = spawn(
    join(programs, "weir-collector"),
    ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--print", "none", "--data-dir", data, "--port-file", ports],
    { env: { ...env, RUST_LOG: "warn" }, stdio: ["ignore", "ignore", "inherit"] },
  );
  const ended = once(collector, "exit");
  const stop = async () => {
    collector.kill();
    // It seals what it has before it ends.
    await ended;
    rmSync(work, { recursive: true, force: true });
  };
  for (let tries = 0; !existsSync(ports); tries += 1) {
    if (collector.exitCode !== null || tries > 300) {
      await stop();
      throw new Error("the collector does not start");
    }
    await pause(100);
  }
  const told = JSON.parse(readFileSync(ports, "utf8")) as { http: string; udp: string[] };
  project.provide("url", `http://${told.http}`);
  project.provide("udp", told.udp[0] ?? "");
  project.provide("weir", join(programs, "weir"));
  return stop;
}
