// Draws the page into the document; pages but the first are fetched when they are gone to.
import { type ComponentType, render } from "preact";
import { lazy } from "./lazy";
import { Overview } from "./pages/Overview";
import { Shell } from "./parts/Shell";
import "./style.css";

const pages: Record<string, ComponentType> = {
  overview: Overview,
  flows: lazy(() => import("./pages/Flows").then((module) => module.Flows)),
  topology: lazy(() => import("./pages/Topology").then((module) => module.Topology)),
  matrix: lazy(() => import("./pages/Matrix").then((module) => module.Matrix)),
  sankey: lazy(() => import("./pages/Sankey").then((module) => module.Sankey)),
  nodes: lazy(() => import("./pages/Nodes").then((module) => module.Nodes)),
  export: lazy(() => import("./pages/Export").then((module) => module.Export)),
  status: lazy(() => import("./pages/Status").then((module) => module.Status)),
  policies: lazy(() => import("./pages/Policies").then((module) => module.Policies)),
  flowmetrics: lazy(() => import("./pages/FlowMetrics").then((module) => module.FlowMetrics)),
};

const root = document.getElementById("root");
if (root) render(<Shell pages={pages} />, root);
