import { spawnForwarder } from '../forwarder/child.ts';
import type { StartForwarder } from '../providers/local/link.ts';

/** What moves an agent's packets: a process of its own, so that whatever keeps the agent busy never stalls traffic. */
export const startForwarder: StartForwarder = (options) => spawnForwarder(options);
