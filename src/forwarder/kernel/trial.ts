import { aimAt } from './aims.ts';
import { type KernelFault, tryNft } from './nft.ts';
import { emptyPlan, type Family, keyOf, type Plan, planChanges } from './plan.ts';
import { type RulesetOptions, renderRuleset } from './ruleset.ts';

/** What nft and the kernel of this machine take. */
export interface Takes {
  /** Why nothing. */
  readonly fault: KernelFault | undefined;
  /** Why no listener whose clients are remembered. */
  readonly staying: KernelFault | undefined;
}

/** Synchronous: some 30 ms, once. @param run says why it does not take a ruleset, and changes nothing */
export function tryRulesets(options: RulesetOptions, run: (ruleset: string) => KernelFault | undefined = tryNft): Takes {
  const staying = run(renderRuleset(planOfAll(), options));
  if (staying?.code !== 'KernelRefused') return { fault: staying, staying };
  const fault = run(renderRuleset(emptyPlan, options));
  return { fault, staying };
}

/** Pure. Listeners of both families whose clients are remembered, for nodePorts and for targets with ports of their own. */
function planOfAll(): Plan {
  const addresses = { 4: '192.0.2.1', 6: '2001:db8::1' };
  const made = ([4, 6] as const).flatMap((family) => [
    ruleOf(family, addresses[family], 1),
    ruleOf(family, addresses[family], 2),
  ]);
  const rules = new Map(made.map(({ rule }) => [rule.key, rule]));
  return planChanges(emptyPlan, { rules, aims: new Map(made.map(({ aim }) => [aim.content, aim])) });
}

function ruleOf(family: Family, address: string, port: number) {
  const aim = aimAt(family, [{ address, port: 1 }], { nodePort: port, staySeconds: 1 });
  const key = keyOf(address, 'tcp', port);
  return { aim, rule: { id: key, family, key, address, nodePort: port, group: aim.content, sources: undefined } };
}
