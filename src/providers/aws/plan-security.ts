import { type Current, frontendName, targetsHash } from './current.ts';
import { sayAttributes } from './defaults.ts';
import type { Desired } from './desired.ts';
import { CHANGING, ownershipTags, resourceName, SHARED, SHARED_GROUP, TAG } from './names.ts';
import type { Observed, Rule, SeenSecurityGroup } from './picture.ts';
import { movesOf } from './plan-moves.ts';
import { exchangeRules, type Turn } from './rule-exchange.ts';
import { missingNodeRules, ruleId, sayRule } from './rules.ts';
import { arnsOf } from './shares.ts';
import { type AwsStep, step } from './steps.ts';

/** Marks the rules that are ours on our own groups; what others add there stays. */
const DESCRIPTION = 'nodeport-lb';

export interface PlannedSecurity {
  /** The groups and rules that must be there before the NLB is made; rules that nobody wants any more go at once. */
  readonly steps: readonly AwsStep[];
  /** What admits clients to a listener that is about to become another one: it goes when that has happened, if the group has room so long. */
  readonly last: readonly AwsStep[];
}

export function planSecurity(desired: Desired, current: Current, observed: Observed): PlannedSecurity {
  const { security } = desired;
  const frontend = security.kind === 'managed' ? planFrontend(desired, current, observed) : { steps: [], last: [] };
  return { steps: [...frontend.steps, ...(security.backend ? planBackend(desired, observed) : [])], last: frontend.last };
}

function planFrontend(desired: Desired, current: Current, observed: Observed): PlannedSecurity {
  const name = frontendName(desired, current.name);
  const seen = observed.securityGroups.find((group) => group.name === name);
  const rules = desired.security.rules.map((rule) => ({ ...rule, description: DESCRIPTION }));
  const wanted = new Set(rules.map(ruleId));
  const had = new Set((seen?.rules ?? []).map(ruleId));
  const missing = rules.filter((rule) => !had.has(ruleId(rule)));
  const extra = (seen?.rules ?? []).filter(
    (rule) => rule.description === DESCRIPTION && !wanted.has(ruleId(rule)) && !isLingering(rule, current, observed),
  );
  const steps: AwsStep[] = [];
  if (!seen) {
    const act = {
      kind: 'create-security-group',
      key: desired.key,
      group: name,
      vpcId: desired.vpcId,
      tags: desired.tags,
    } as const;
    steps.push(step(act, `create security group ${name}`, 'clients reach the NLB through it'));
  }
  if (seen) steps.push(...retagGroup(desired, seen));
  const used = extra.filter((rule) => isUsed(rule, desired, current));
  const idle = extra.filter((rule) => !used.includes(rule));
  const { turns, last } = exchangeRules(seen?.rules ?? [], missing, { idle, used });
  const say = ({ kind, rules: list, instead }: Turn): AwsStep =>
    kind === 'allow' ? allow(name, list, 'listeners and source ranges of the Service', instead) : revoke(name, list);
  return { steps: [...steps, ...turns.map(say)], last: last.map(say) };
}

function revoke(group: string, rules: readonly Rule[]): AwsStep {
  const summary = `no longer allow ${rules.map(sayRule).join(', ')} in ${group}`;
  const act = { kind: 'revoke-traffic', group, rules } as const;
  return step(act, summary, 'the Service does not ask for it', { disrupts: true });
}

/** Whether clients of a Service that goes to another balancer still come by this rule. */
function isLingering({ from }: Rule, { balancer }: Current, { groups, moves }: Observed): boolean {
  const had = balancer?.listeners?.find(({ port }) => port === from);
  const used = had ? groups.filter(({ arn }) => arnsOf(had).includes(arn)) : [];
  return used.some((group) => movesOf(group, moves).length > 0);
}

/** Whether the rule is of a transport that its port still has, and shall have no longer. */
function isUsed({ protocol, from, to }: Rule, { listeners }: Desired, { balancer }: Current): boolean {
  const carries = (of: string): boolean => (protocol === 'udp' ? ['UDP', 'TCP_UDP'] : ['TCP', 'TLS', 'TCP_UDP']).includes(of);
  if (from !== to || !['tcp', 'udp'].includes(protocol)) return false;
  const had = balancer?.listeners?.find(({ port }) => port === from);
  const next = listeners.find(({ port }) => port === from);
  return had !== undefined && next !== undefined && carries(had.protocol) && !carries(next.protocol);
}

/** Tags that others gave it stay. */
function retagGroup({ tags: { [TAG.retain]: _, ...wanted } }: Desired, { name, tags }: SeenSecurityGroup): readonly AwsStep[] {
  const missing = Object.fromEntries(Object.entries(wanted).filter(([tag, value]) => tags[tag] !== value));
  if (Object.keys(missing).length === 0) return [];
  const summary = `tag security group ${name} with ${sayAttributes(missing)}`;
  return [step({ kind: 'tag-security-group', group: name, tags: missing }, summary, 'the Service asks for it')];
}

function allow(group: string, rules: readonly Rule[], reason: string, instead?: readonly Rule[]): AwsStep {
  const summary = `allow ${rules.map(sayRule).join(', ')} in ${group}`;
  if (!instead) return step({ kind: 'allow-traffic', group, rules }, summary, reason);
  const said = `${summary}; if the group is full, no longer allow ${instead.map(sayRule).join(', ')} before that`;
  return step({ kind: 'allow-traffic', group, rules, instead }, said, reason);
}

/** One group that all NLBs of the cluster send from, and one range a protocol on the nodes' groups, however many Services. */
function planBackend(desired: Desired, { shared }: Observed): readonly AwsStep[] {
  const steps: AwsStep[] = [];
  const cluster = desired.tags[TAG.cluster] ?? '';
  if (!shared.backend) {
    const note = shared.users.some((key) => key !== desired.key) ? CHANGING : targetsHash(desired); // of others nobody knows
    const tags = { ...ownershipTags(cluster, SHARED, []), [TAG.targets]: note };
    const act = { kind: 'create-security-group', key: SHARED, group: SHARED_GROUP, vpcId: desired.vpcId, tags } as const;
    steps.push(step(act, 'create the security group that all NLBs of the cluster send from', 'there is none yet'));
  }
  return [...steps, ...planNodeRules(shared, desired.security.nodePorts)];
}

/** What the nodes' groups must admit so that the NLBs reach these ports. */
export function planNodeRules(shared: Observed['shared'], ports: Desired['security']['nodePorts']): readonly AwsStep[] {
  return Object.values(shared.nodeGroups).flatMap((group) => {
    const missing = missingNodeRules(group, shared.backend?.id ?? SHARED_GROUP, ports);
    return missing.length > 0 ? [allow(group.id, missing, 'the NLBs reach the nodes')] : [];
  });
}

/** The backend group's name is the cluster's, so that a create that is repeated meets its first try. */
export function backendName(cluster: string): string {
  return resourceName(SHARED, cluster, 'backend');
}

/** The groups that the NLB shall have, by their names in steps; own groups keep their order. */
export function attachedGroups(desired: Desired, balancerName: string): readonly string[] {
  const { security } = desired;
  if (security.kind === 'none') return [];
  const front = security.kind === 'own' ? security.groupIds : [frontendName(desired, balancerName)];
  return [...front, ...(security.backend ? [SHARED_GROUP] : [])];
}

export function setGroups(desired: Desired, balancer: string): AwsStep {
  const rules = desired.privateLinkRules;
  const groups = attachedGroups(desired, balancer);
  const act = { kind: 'set-security-groups', balancer, groups, ...(rules ? { privateLinkRules: rules } : {}) } as const;
  const summary = `set the security groups of NLB ${balancer}${rules ? `, and their rules for PrivateLink ${rules}` : ''}`;
  return step(act, summary, 'the Service asks for it');
}

/** Puts the NLB into the groups that it shall have, in place. */
export function planAttachment(desired: Desired, { balancer }: Current, observed: Observed): readonly AwsStep[] {
  if (!balancer || desired.security.kind === 'none') return [];
  const ids = attachedGroups(desired, balancer.name).map((name) => idOf(name, observed));
  const had = balancer.securityGroups;
  const isSame = ids.length === had.length && ids.every((id) => id !== undefined && had.includes(id));
  const rules = desired.privateLinkRules;
  return isSame && (rules === undefined || rules === balancer.privateLinkRules) ? [] : [setGroups(desired, balancer.name)];
}

function idOf(name: string, observed: Observed): string | undefined {
  if (name === SHARED_GROUP) return observed.shared.backend?.id;
  return (
    observed.securityGroups.find((group: SeenSecurityGroup) => group.name === name)?.id ??
    (name.startsWith('sg-') ? name : undefined)
  );
}
