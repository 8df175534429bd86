import { defineConfig } from "vitest/config";

// One browser, one page after the other, beside a real collector.
export default defineConfig({
  test: {
    include: ["browser/**/*.test.ts"],
    environment: "node",
    globalSetup: "browser/collector.ts",
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
