// The last line of a run, as scripts/test reads it.
export default class Counts {
  onTestRunEnd(modules, errors) {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) counts[test.result().state] = (counts[test.result().state] ?? 0) + 1;
      if (tests.length === 0 && module.state() === "failed") counts.failed += 1;
    }
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + (counts.pending ?? 0)} skipped`);
  }
}
