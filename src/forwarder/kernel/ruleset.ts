import { heldLines, renderHeld } from './held.ts';
import {
  type Aim,
  type Chain,
  type Entry,
  emptyPlan,
  type Family,
  type Guard,
  isRest,
  type KernelRule,
  type Plan,
  placesOf,
  restChain,
} from './plan.ts';
import { fillSlots } from './slots.ts';
import { listenerOf, slotOfSender, word } from './words.ts';

/** Before kube-proxy's and Docker's translation (-100), so that a packet for one of our listeners is ours. */
const DSTNAT = -105;
const SRCNAT = 95;
/** Listeners with refusals or bytes that are counted, at most; what comes beyond is not counted. */
const COUNTED = 65_535;

export interface RulesetOptions {
  /** Name of the table, of the family inet. */
  readonly table: string;
  /** Count bytes of each listener; costs a lookup for every packet. */
  readonly countBytes: boolean;
}

const families = [4, 6] as const;
const protocols = ['tcp', 'udp', 'sctp'] as const;

/**
 * Pure. The whole ruleset as one text for `nft -f -`: it takes the place of whatever the table held, in one transaction.
 * A listener is an element of up to three maps: `targets` sends its first packet to the chain of its target set, unless that is the
 * one for the rest; `ports` knows its nodePort there; `via` tells that a packet is for it and afterwards that the connection came through
 * it, so that it is masqueraded and answers come back, unless its address is in `own`.
 */
export function renderRuleset(plan: Plan, options: RulesetOptions): string {
  const rules = [...plan.entries.values()].map(({ rule }) => rule);
  return [renderHead(options), ...portLines(rules, options), ...tailLines(plan, options)].join('\n');
}

/** Pure. What stands in the ruleset before anything of a plan. */
export function renderHead({ table, countBytes }: RulesetOptions): string {
  return [
    `table inet ${table} {}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...families.flatMap((family) => renderMaps(family)),
    '  chain none {',
    '    meta l4proto tcp reject with tcp reset',
    '    reject',
    '  }',
    ...families.flatMap((family) => [`  chain ${restChain(family)} {`, '  }']),
    ...renderHooks(countBytes),
    '}',
  ].join('\n');
}

/** Where a listener is, and its nodePort. */
export type Place = Pick<KernelRule, 'family' | 'key' | 'nodePort'>;

/** Pure. The nodePorts of listeners, which are most of the text and known before all the rest. */
export function portLines(rules: readonly Place[], { table }: RulesetOptions): readonly string[] {
  return families.flatMap((family) => {
    const mine = rules.filter((rule) => rule.family === family);
    const come = mine.map(({ key, nodePort }) => `${key} : ${nodePort}`);
    return renderElements(`ports${family}`, table, [], come);
  });
}

/** Pure. What stands in the ruleset after its head and the nodePorts of all listeners. */
export function tailLines(plan: Plan, options: RulesetOptions): readonly string[] {
  const isMore = ({ rule, chain, guard }: Entry) => guard !== undefined || !isRest(chain) || !plan.exclusive.has(rule.address);
  const keys: string[] = [];
  plan.entries.forEach((entry, key) => {
    if (isMore(entry)) keys.push(key);
  });
  return changeLines(emptyPlan, plan, options, keys, columnsAfterPorts);
}

/**
 * Pure. The commands that lead from one plan to the next, as one transaction; '' when there is nothing to do.
 * @param keys of the entries that may differ; default: all
 */
export function renderChange(
  before: Plan,
  after: Plan,
  options: RulesetOptions,
  keys: readonly string[] = differing(before, after),
): string {
  return changeLines(before, after, options, keys).join('\n');
}

function changeLines(
  before: Plan,
  after: Plan,
  { table, countBytes }: RulesetOptions,
  keys: readonly string[],
  of = columns,
): string[] {
  const lines: string[] = [];
  const held = heldLines(before, after, table);
  lines.push(...held.come);
  for (const [content, guard] of after.guards) if (!before.guards.has(content)) lines.push(...renderGuard(guard, table));
  const [aimsBefore, aimsAfter] = [aimsByChain(before), aimsByChain(after)];
  for (const chain of after.chains.values()) {
    const had = aimsBefore.get(chain.name);
    if (had?.content === chain.aim.content) continue;
    lines.push(`${had || isRest(chain.name) ? 'flush' : 'add'} chain inet ${table} ${chain.name}`);
    for (const rule of renderAim(chain)) lines.push(`add rule inet ${table} ${chain.name} ${rule}`);
  }
  for (const [map, { gone, come }] of changedElements(before, after, keys, of))
    lines.push(...renderElements(map, table, gone, come));
  for (const family of families) {
    for (const [name, field] of [
      ['own', 'exclusive'],
      ['open', 'open'],
    ] as const) {
      if (before[field] === after[field]) continue;
      const [old, now] = [addresses(before[field], family), addresses(after[field], family)];
      const gone = old.filter((one) => !after[field].has(one));
      const come = now.filter((one) => !before[field].has(one));
      lines.push(...renderElements(`${name}${family}`, table, gone, come));
    }
    lines.push(...renderForgotten(before, after, keys, family, { table, countBytes }));
  }
  for (const name of aimsBefore.keys())
    if (!aimsAfter.has(name)) lines.push(`${isRest(name) ? 'flush' : 'delete'} chain inet ${table} ${name}`);
  for (const [content, { name }] of before.guards) {
    if (after.guards.get(content)?.name === name) continue;
    lines.push(`delete chain inet ${table} ${name}`);
    lines.push(`delete set inet ${table} ${name}s`);
  }
  lines.push(...held.gone);
  return lines;
}

function aimsByChain({ chains }: Plan): ReadonlyMap<string, Aim> {
  return new Map([...chains.values()].map(({ name, aim }) => [name, aim]));
}

/** Pure. Keys of the entries that differ; with other exclusive addresses all may. */
export function differing(before: Plan, after: Plan): readonly string[] {
  if (before.entries === after.entries && before.exclusive === after.exclusive) return [];
  if (before.entries.size === 0) return [...after.entries.keys()];
  if (before.exclusive !== after.exclusive) return [...new Set([...before.entries.keys(), ...after.entries.keys()])];
  const keys: string[] = [];
  for (const [key, entry] of after.entries) if (before.entries.get(key) !== entry) keys.push(key);
  for (const key of before.entries.keys()) if (!after.entries.has(key)) keys.push(key);
  return keys;
}

/** Pure. Those of the keys whose listeners go on but are counted by another element: their counters begin anew. */
export function movedKeys(before: Plan, after: Plan, keys: readonly string[] = differing(before, after)): readonly string[] {
  return keys.filter((key) => {
    const [had, has] = [before.entries.get(key), after.entries.get(key)];
    return had && has && (had.chain !== has.chain || (isRest(has.chain) && had.rule.nodePort !== has.rule.nodePort));
  });
}

/** An element that has not counted its listener's connections so far has an old number. */
function isCountedAnew(had: Entry | undefined, has: Entry | undefined): boolean {
  return had !== undefined && has !== undefined && isRest(has.chain) && had.chain !== has.chain;
}

/** Pure. The map whose element counts the connections of a listener. */
export function countingMap({ chain, rule }: Entry): string {
  return `${isRest(chain) ? 'ports' : 'targets'}${rule.family}`;
}

/** What stands in each map for an entry; undefined: nothing. */
type Column = readonly [string, (entry: Entry, plan: Plan) => string | undefined];

const columns: readonly Column[] = [
  ['targets', ({ chain }) => (isRest(chain) ? undefined : `goto ${chain}`)],
  ['ports', ({ rule }) => String(rule.nodePort)],
  ['guards', ({ guard }) => guard && `jump ${guard}`],
  ['via', ({ rule }, plan) => (plan.exclusive.has(rule.address) ? undefined : '')],
];

const columnsAfterPorts = columns.filter(([name]) => name !== 'ports');

interface Elements {
  readonly gone: string[];
  readonly come: string[];
}

/** By the map that they are in. */
function changedElements(
  before: Plan,
  after: Plan,
  keys: readonly string[],
  all: readonly Column[],
): ReadonlyMap<string, Elements> {
  const make = (family: Family) => all.map(([name]) => [`${name}${family}`, { gone: [], come: [] } as Elements] as const);
  const maps = { 4: make(4), 6: make(6) };
  for (const key of keys) {
    const [had, has] = [before.entries.get(key), after.entries.get(key)];
    const mine = maps[(has ?? had)!.rule.family];
    const anew = isCountedAnew(had, has);
    for (let i = 0; i < all.length; i++) {
      const [name, of] = all[i]!;
      const old = had && of(had, before);
      const now = has && of(has, after);
      if (old === now && !(anew && name === 'ports')) continue;
      const { gone, come } = mine[i]![1];
      if (old !== undefined) gone.push(key);
      if (now !== undefined) come.push(now === '' ? key : `${key} : ${now}`);
    }
  }
  return new Map(families.flatMap((family) => maps[family]));
}

function addresses(set: ReadonlySet<string>, family: Family): readonly string[] {
  return [...set].filter((key) => key.includes(':') === (family === 6));
}

/** What goes is deleted before anything is added, so that an element can get another value. */
function renderElements(name: string, table: string, gone: readonly string[], come: readonly string[]): string[] {
  return [
    ...(gone.length === 0 ? [] : [`delete element inet ${table} ${name} { ${gone.join(', ')} }`]),
    ...(come.length === 0 ? [] : [`add element inet ${table} ${name} { ${come.join(', ')} }`]),
  ];
}

/** Counters that the packets themselves have made: added first, because what is not there cannot be deleted. */
function renderForgotten(
  before: Plan,
  after: Plan,
  keys: readonly string[],
  family: Family,
  { table, countBytes }: RulesetOptions,
): string[] {
  const gone = keys.filter((key) => before.entries.get(key)?.rule.family === family && !after.entries.has(key));
  if (gone.length === 0) return [];
  const list = gone.join(', ');
  const sets = ['refused', ...(countBytes ? ['up', 'down'] : [])];
  return sets.flatMap((name) => ['add', 'delete'].map((verb) => `${verb} element inet ${table} ${name}${family} { ${list} }`));
}

function renderMaps(family: Family): string[] {
  const key = `ipv${family}_addr . inet_proto . inet_service`;
  const counted = `flags dynamic; size ${COUNTED}; counter;`;
  return [
    `  map targets${family} { type ${key} : verdict; counter; }`,
    `  map ports${family} { type ${key} : inet_service; counter; }`,
    `  map guards${family} { type ${key} : verdict; }`,
    `  set via${family} { type ${key}; }`,
    `  set own${family} { type ipv${family}_addr; }`,
    `  set open${family} { type ${key}; }`,
    `  set refused${family} { type ${key}; ${counted} }`,
    `  set up${family} { type ${key}; ${counted} }`,
    `  set down${family} { type ${key}; ${counted} }`,
  ];
}

/** The first packet of a connection alone comes by the nat hooks; what follows is translated as it was. */
function renderHooks(countBytes: boolean): string[] {
  const asked = [
    ...['guards', 'targets'].flatMap((map) => families.map((family) => `${listenerOf(family)} vmap @${map}${family}`)),
    ...families.flatMap((family) => [
      `${word(family)} daddr @own${family} goto ${restChain(family)}`,
      `${listenerOf(family)} @via${family} goto ${restChain(family)}`,
    ]),
  ];
  return [
    ...renderHook('prerouting', `type nat hook prerouting priority ${DSTNAT}`, asked),
    ...renderHook('output', `type nat hook output priority ${DSTNAT}`, asked), // clients on this very machine
    ...renderHook('postrouting', `type nat hook postrouting priority ${SRCNAT}`, [
      ...families.map((family) => `ct status dnat ct original ${word(family)} daddr @own${family} masquerade`),
      ...families.flatMap((family) => protocols.map((protocol) => `${origin(family, protocol)} @via${family} masquerade`)),
    ]),
    ...renderHook('input', 'type filter hook input priority 0', families.flatMap(renderInput)),
    ...(countBytes ? renderCounting() : []),
  ];
}

function renderHook(name: string, type: string, rules: readonly string[]): string[] {
  return [`  chain ${name} {`, `    ${type}; policy accept;`, ...rules.map((rule) => `    ${rule}`), '  }'];
}

/** What comes here for an address of ours was translated by nobody. */
function renderInput(family: Family): string[] {
  const mine = `${word(family)} daddr @own${family} meta l4proto`;
  return [
    `${mine} { tcp, udp, sctp } ${listenerOf(family)} @open${family} accept`,
    `${mine} tcp ct state new reject with tcp reset`,
    `${mine} { udp, sctp } ct state new reject`,
  ];
}

/**
 * Of each packet, by the connection that it belongs to: what goes out, and answers to a client on this machine, which do not. It is
 * asked for every packet, so that each goes by as few rules as can be.
 */
function renderCounting(): string[] {
  const sorted = families.map((family) => {
    const ways = protocols.map((protocol) => `${protocol} : goto count${protocol}${family}`).join(', ');
    return `ct status dnat meta nfproto ipv${family} meta l4proto vmap { ${ways} }`;
  });
  return [
    ...families.flatMap((family) => protocols.flatMap((protocol) => renderCount(family, protocol))),
    ...renderHook('countout', 'type filter hook postrouting priority 90', sorted),
    ...renderHook('counthere', 'type filter hook input priority 10', [
      'ct direction original accept', // it goes to a target on this machine, or has been counted
      ...sorted,
    ]),
  ];
}

function renderCount(family: Family, protocol: string): string[] {
  const add = (set: string) =>
    `add @${set}${family} { ct original ${word(family)} daddr . meta l4proto . ct original proto-dst }`;
  return [
    `  chain count${protocol}${family} {`,
    `    meta l4proto ${protocol} ct direction original ${add('up')} return`,
    `    meta l4proto ${protocol} ${add('down')}`,
    '  }',
  ];
}

function origin(family: Family, protocol: string): string {
  return `meta l4proto ${protocol} ct original ${word(family)} daddr . meta l4proto . ct original proto-dst`;
}

function renderGuard({ name, family, sources }: Guard, table: string): string[] {
  const key = listenerOf(family);
  const add = (rule: string) => `add rule inet ${table} ${name} ${rule}`;
  return [
    `add set inet ${table} ${name}s { type ipv${family}_addr; flags interval; auto-merge; }`,
    ...(sources.length === 0 ? [] : [`add element inet ${table} ${name}s { ${sources.join(', ')} }`]),
    `add chain inet ${table} ${name}`,
    add(`${word(family)} saddr @${name}s return`),
    add(`add @refused${family} { ${key} }`),
    add('meta l4proto tcp reject with tcp reset'),
    add('drop'),
  ];
}

function renderAim({ name, aim }: Chain): readonly string[] {
  const { family, addresses: to } = aim;
  const served = 'meta l4proto { tcp, udp, sctp }';
  // On addresses that are ours alone packets for anything come to the chain for the rest.
  if (to.length === 0) return [isRest(name) ? `${served} ${listenerOf(family)} != @open${family} goto none` : 'goto none'];
  const port = aim.ports ? '' : ` : ${listenerOf(family)} map @ports${family}`;
  const send = (choice: string) => `${served} dnat ${word(family)} to ${choice}${port}`;
  return aim.staySeconds ? renderHeld(aim, send) : [send(renderChoice(aim))];
}

function renderChoice(aim: Aim): string {
  const places = placesOf(aim);
  if (places.length === 1 && !aim.ports) return places[0]!;
  if (aim.staySeconds === undefined)
    return `numgen inc mod ${places.length} map { ${places.map((place, i) => `${i} : ${place}`).join(', ')} }`;
  const slots = fillSlots(places).map((target, slot) => `${slot} : ${places[target]}`);
  return `${slotOfSender(aim.family)} map { ${slots.join(', ')} }`;
}
