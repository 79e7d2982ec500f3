// Our forwarder's process in a balancer's namespace: DATAPATH COUNT-BYTES OTHER-RULES ADDRESS PORTS TARGET-PORT TARGET...
import { openForwarder } from '../../../src/forwarder/datapath.ts';
import { RULES_VERSION } from '../../../src/forwarder/rules.ts';

const [datapath = '', countBytes = '', others = '', address = '', ports = '', targetPort = '', ...targets] =
  process.argv.slice(2);
/** Of rules that nobody asks for. */
const FIRST_OTHER_PORT = 10_000;

const healthy = new Set<string>();
const listening = new Set<string>();
const asked = ports.split(',').flatMap((port) => [`TCP ${port}`, `UDP ${port}`]);
const wanted = [...asked, ...Array.from({ length: Number(others) }, (_, i) => `TCP ${FIRST_OTHER_PORT + i}`)];

const forwarder = openForwarder({
  datapath: datapath as 'userspace' | 'nftables',
  countBytes: countBytes === 'true',
  onReport: (report) => {
    for (const [id, state] of Object.entries(report.listeners)) if (state?.state === 'listening') listening.add(id);
    for (const [id, state] of Object.entries(report.targets)) if (state?.health === 'healthy') healthy.add(id);
    if (listening.size === wanted.length && targets.every((target) => healthy.has(target))) process.send?.('ready');
  },
  log: { debug: () => {}, info: () => {}, warn: console.error, error: console.error },
});
forwarder.apply({
  version: RULES_VERSION,
  generation: 1,
  nodes: targets.map((target) => ({ id: target, addresses: [target] })),
  nodeSets: { all: targets },
  listeners: wanted.map((id) => ({
    id,
    protocol: id.split(' ')[0] as 'TCP' | 'UDP',
    address,
    port: Number(id.split(' ')[1]),
    portFallback: false,
    nodeSet: 'all',
    nodePort: Number(targetPort),
    check: { kind: 'nodePort' },
    localOnly: false,
    sourceRanges: [],
    drainMs: 0,
    idleMs: 60_000,
  })),
});
process.on('disconnect', () => process.exit());
