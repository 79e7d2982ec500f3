import { spawnForwarder } from '../../src/forwarder/child.ts';
import type { Rules } from '../../src/forwarder/rules.ts';

// A parent that the test kills: spawns a forwarder with the rules that it is sent, and tells its pid and its reports.

const quiet = () => {};
const forwarder = spawnForwarder({
  onReport: (report) => process.send?.({ pid: forwarder.pid, report }),
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
});
process.once('message', (rules: Rules) => forwarder.apply(rules));
