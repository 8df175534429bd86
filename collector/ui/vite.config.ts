import { defineConfig } from "vite";

// Addresses are relative: the page works below any prefix. Nothing is put into the page
// itself, where the policy of the server lets nothing run.
export default defineConfig({
  base: "./",
  publicDir: false,
  build: {
    outDir: "build/out",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  oxc: { jsx: { importSource: "preact" } },
  test: { include: ["web/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
