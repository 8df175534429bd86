// The collector beside which all pages are tried: named flows, the objects of their cluster with
// policies, and metrics.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { knowsObjects, METRICS, writeObjects } from "./objects";
import { run, until } from "./run";

const ROWS = "60000";

declare module "vitest" {
  export interface ProvidedContext {
    url: string;
    udp: string;
    weir: string;
  }
}

export default async function start(project: TestProject): Promise<() => Promise<void>> {
  let objects = "";
  const options = (folder: string) => {
    objects = join(folder, "objects.json");
    const metrics = join(folder, "metrics");
    writeFileSync(objects, "{}");
    mkdirSync(metrics);
    writeFileSync(join(metrics, "metrics.yaml"), METRICS);
    return ["--policies", objects, "--flow-metrics", metrics];
  };
  const { url, udp, weir, stop } = await run({ fills: [[ROWS]], options });
  try {
    await writeObjects(url, objects);
    await until("the collector does not take the objects of the cluster", () => knowsObjects(url));
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide("url", url);
  project.provide("udp", udp);
  project.provide("weir", weir);
  return stop;
}
