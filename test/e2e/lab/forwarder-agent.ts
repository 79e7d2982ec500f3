import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import type { LabNode } from './node.ts';
import { Process } from './process.ts';

const CHECKOUT = join(import.meta.dirname, '../../..');

export interface AgentRun {
  /** Default: a node agent in the node's own namespace. */
  readonly edge?: string;
  readonly args?: readonly string[];
}

let started = 0;

/**
 * `nodeport-lb forwarder` as its own process: on a node, in its network namespace, or (`edge`) in the hub, where the users of external
 * addresses are. Runs of one name share a state directory, as on a machine.
 */
export function startAgent(lab: Lab, node: LabNode | undefined, { edge, args = [] }: AgentRun = {}): Process {
  const name = node?.name ?? edge ?? 'edge';
  const { directory, hub, users } = lab.plane;
  const stateDir = join(directory, `agent-${name}`);
  mkdirSync(stateDir, { recursive: true });
  const where = node ? ['--node-name', node.name] : ['--edge', '--agent-name', name];
  started += 1;
  return new Process({
    name: `agent-${name}`,
    namespace: node?.net.namespace ?? hub,
    command: process.execPath,
    args: [
      join(CHECKOUT, 'src/bin.js'),
      'forwarder',
      '--kubeconfig',
      users.product.kubeconfig,
      '--state-dir',
      stateDir,
      ...where,
      ...args,
    ],
    env: { ...process.env, KUBECONFIG: '', NODE_NAME: '' },
    logFile: join(directory, `agent-${name}-${started}.log`),
  });
}
