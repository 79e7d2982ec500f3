import type { Check } from './checks.ts';
import type { NodeState } from './node-state.ts';
import { NODE_TIMEOUT_MS } from './patrol.ts';
import type { TargetState } from './rules.ts';
import { checkEndpointsOf, endpointsOf } from './targets.ts';
import { healthOf, verdicts } from './verdict.ts';

/** Pure. What is reported of a node as a whole. */
export function nodeReport(state: NodeState, asOf: number): TargetState {
  const { address } = state;
  if (address === undefined) return { health: 'unhealthy', reason: 'the node has no valid IP address', asOf };
  const health = healthOf(state.verdict);
  if (health !== 'unhealthy') return { health, address, asOf };
  return { health, address, reason: describeSilence(state), ...(state.hasAnswered ? {} : { unreachable: true }), asOf };
}

/** Addresses that say nothing, and those that this machine knows no way to. */
function describeSilence({ entry, refusals }: NodeState): string {
  const silent = entry.addresses.filter((each) => !refusals.has(each));
  const refused = entry.addresses.filter((each) => refusals.has(each)).map((each) => `${each} (${refusals.get(each)})`);
  return [
    ...(silent.length === 0 ? [] : [`no answer from ${silent.join(', ')} within ${NODE_TIMEOUT_MS} ms, on any NodePort tried`]),
    ...(refused.length === 0 ? [] : [`this machine knows no way to ${refused.join(', ')}`]),
  ].join('; ');
}

/** Pure. What is reported of a NodePort at a node beyond the node's own state; null: nothing. */
export function targetReport<U>(
  state: NodeState,
  { nodePort, own }: { nodePort: Check<U>; own: Check<U> | undefined },
  asOf: number,
): TargetState | null {
  if (state.verdict !== verdicts.healthy && state.verdict !== verdicts.suspect) return null;
  if (isPlain(nodePort, state) && (own === undefined || isPlain(own, state))) return null;
  for (const bad of [verdicts.unhealthy, verdicts.failing]) {
    for (const check of [nodePort, own]) {
      if (check?.verdict(state.entry) !== bad) continue;
      const { address = '', port = 0 } = wayOf(check, state) ?? {};
      return { health: healthOf(bad), address, reason: check.reason(state.entry, address, port), asOf };
    }
  }
  const address = wayOf(nodePort, state)?.address;
  return address === undefined || address === state.address ? null : { health: 'healthy', address, asOf };
}

/** Nothing is known of it that differs from its node: so it is with nearly all of them. */
function isPlain<U>(check: Check<U>, { entry }: NodeState): boolean {
  const verdict = check.verdict(entry);
  return (verdict === verdicts.untried || verdict === verdicts.healthy) && check.way(entry) === undefined;
}

function wayOf<U>(check: Check<U>, state: NodeState): { address: string; port: number } | undefined {
  const { port, isNodePort } = check.spec;
  const ways = isNodePort ? endpointsOf(state.entry, port) : checkEndpointsOf(state.entry, port);
  return ways[check.way(state.entry) ?? state.inUse] ?? ways[0];
}
