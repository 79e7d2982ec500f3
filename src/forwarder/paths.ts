import { needOfUserspace } from './kernel/needs.ts';
import type { KernelFault } from './kernel/nft.ts';
import { type Family, familyOf } from './kernel/plan.ts';
import type { Datapath, ListenFailure, RuleListener } from './rules.ts';
import type { NodeEntry } from './targets.ts';

/** What a forwarder that could have both data paths goes by. */
export interface Paths {
  /** `auto`: the kernel where it can, userspace where it must. */
  readonly asked: 'auto' | 'nftables';
  /** Why the kernel path cannot be had at all. */
  readonly fault: KernelFault | undefined;
  /** Why it cannot be had for session affinity; default: it can. */
  readonly staying?: KernelFault | undefined;
  /** Of the ruleset, in the family inet. */
  readonly table: string;
  readonly countBytes: boolean;
  readonly keepRules: boolean;
  /** Families of which a firewall of this machine drops what it is not told to pass on, and which chain does; default: none. */
  readonly walls?: Walls;
}

/** Chains that drop what is forwarded, by family. */
export type Walls = Partial<Readonly<Record<Family, string>>>;

/** Why a data path is as it is, where somebody has asked for it. */
export const AS_ASKED = 'as asked for';

/** What matters of this machine, as it was a moment ago. */
export interface Machine {
  /** Canonical addresses. */
  readonly own: ReadonlySet<string>;
  /** Families whose packets it passes on. */
  readonly forwards: ReadonlySet<Family>;
}

/** Nothing is asked of the machine where there is no kernel path. */
export const nowhere: Machine = { own: new Set(), forwards: new Set() };

export interface PathChoice {
  readonly datapath: Datapath;
  /** For people, as the end of "because". */
  readonly why?: string;
  /** It cannot be served as asked. */
  readonly fault?: { readonly code: ListenFailure; readonly message: string };
}

/** The data path of a listener, by rights and needs. */
export function choosePath(paths: Paths, rule: RuleListener, nodes: readonly NodeEntry[], machine: Machine): PathChoice {
  const isAuto = paths.asked === 'auto';
  const { fault } = paths;
  if (fault) return isAuto && rule.protocol !== 'SCTP' ? userspace(fault.message) : { datapath: 'nftables', fault };
  const need = needOfUserspace(rule, nodes, machine.own) ?? needOfStaying(paths, rule);
  if (need !== undefined) {
    if (isAuto) return userspace(need);
    return {
      datapath: 'nftables',
      fault: { code: 'NeedsUserspace', message: `${rule.address}:${rule.port} is not for the kernel: ${need}` },
    };
  }
  const family = familyOf(rule.address);
  const stuck = isAuto && rule.protocol !== 'SCTP' ? whyStuck(family, paths, machine) : undefined;
  return stuck === undefined ? { datapath: 'nftables' } : userspace(stuck);
}

function needOfStaying({ staying }: Paths, { affinitySeconds }: RuleListener): string | undefined {
  if (!staying || !affinitySeconds) return undefined;
  return 'session affinity for some time is not for this nft or this kernel';
}

/** Userspace needs no forwarding, so nothing of it is changed and no firewall opened for the sake of speed. */
function whyStuck(family: Family, { walls = {} }: Paths, machine: Machine): string | undefined {
  const sysctl = family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
  if (!machine.forwards.has(family)) return `this machine does not forward IPv${family} (sysctl ${sysctl} is 0)`;
  const wall = walls[family];
  return wall && `the firewall of this machine drops what it forwards (policy of ${wall})`;
}

function userspace(why: string): PathChoice {
  return { datapath: 'userspace', why };
}
