// A collector over a store of made-up flows: the program that was built, on loopback, with a
// directory of its own.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const LOOPBACK = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--print", "none"];

export type Run = { url: string; udp: string; weir: string; stop: () => Promise<void> };
export type Wanted = {
  /** Stores that are made one after the other: how many rows, of how many hours. */
  fills: Array<[string, string?]>;
  /** What else the collector is told; it has a folder of its own for files. */
  options?: (folder: string) => string[];
};

/** Looks again and again, for half a minute at most. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries += 1) {
    if (tries > 300) throw new Error(what);
    await pause(100);
  }
}

export async function run({ fills, options = () => [] }: Wanted): Promise<Run> {
  const programs = process.env["PROGRAMS"];
  const fill = process.env["FILL"];
  if (!programs || !fill)
    throw new Error("PROGRAMS is the folder of weir-collector and weir, FILL the program that makes a store");
  const work = mkdtempSync(join(tmpdir(), "weir-ui-"));
  const data = join(work, "data");
  for (const words of fills) execFileSync(fill, [data, ...words.filter((word) => word !== undefined)]);
  const ports = join(work, "ports");
  const { KUBECONFIG: _, KUBERNETES_SERVICE_HOST: __, ...env } = process.env;
  const collector = spawn(
    join(programs, "weir-collector"),
    [...LOOPBACK, "--data-dir", data, "--port-file", ports, ...options(work)],
    { env: { ...env, RUST_LOG: "warn" }, stdio: ["ignore", "ignore", "inherit"] },
  );
  const ended = once(collector, "exit");
  const stop = async () => {
    collector.kill();
    // It seals what it has before it ends.
    await ended;
    rmSync(work, { recursive: true, force: true });
  };
  try {
    await until("the collector does not start", () => {
      if (collector.exitCode !== null) throw new Error("the collector has ended");
      return existsSync(ports);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  const told = JSON.parse(readFileSync(ports, "utf8")) as { http: string; udp: string[] };
  return { url: `http://${told.http}`, udp: told.udp[0] ?? "", weir: join(programs, "weir"), stop };
}
