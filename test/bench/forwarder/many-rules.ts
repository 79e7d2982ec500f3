// A forwarder's process that says how long each change took, from when it was given to when the kernel had it.
import { openForwarder } from '../../../src/forwarder/datapath.ts';
import type { Rules, RulesChange } from '../../../src/forwarder/rules.ts';

let wanted = 0;
let begunMs = 0;

const forwarder = openForwarder({
  datapath: 'nftables',
  probesPerSecond: 1, // nobody answers here
  onReport: ({ generation }) => {
    if (generation !== wanted) return;
    wanted = -1;
    process.send?.(performance.now() - begunMs);
  },
  log: { debug: () => {}, info: () => {}, warn: console.error, error: console.error },
});

process.on('message', (next: Rules | RulesChange) => {
  // What the last change left to be done is not part of this one.
  setTimeout(() => {
    wanted = next.generation;
    begunMs = performance.now();
    forwarder.apply(next);
  }, 100);
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
