import type { Step } from '../../model.ts';
import { callOf } from './call-of.ts';
import type { DesiredZone } from './desired.ts';
import type { Rule, SeenCheck, Tags } from './picture.ts';
import type { DesiredListener } from './ports.ts';

/** One AWS call each. Resources are named, never numbered: `apply` looks the ids up in the inventory. */
export type AwsStep = Step & Act;

/** A security group: `SHARED_GROUP`, the name of a managed frontend group, or the id of one that others made. */
export type GroupName = string;

export type Act =
  | {
      readonly kind: 'create-security-group';
      readonly key: string;
      readonly group: GroupName;
      readonly vpcId: string;
      readonly tags: Tags;
    }
  | {
      readonly kind: 'allow-traffic' | 'revoke-traffic';
      readonly group: GroupName;
      readonly rules: readonly Rule[];
      /** Allowed so far: if AWS says that the group is full, they go first, and come back if that was in vain. */
      readonly instead?: readonly Rule[];
    }
  | { readonly kind: 'delete-security-group'; readonly group: GroupName }
  | { readonly kind: 'release-security-group'; readonly group: GroupName }
  | { readonly kind: 'tag-security-group'; readonly group: GroupName; readonly tags: Tags }
  | { readonly kind: 'create-target-group'; readonly key: string; readonly spec: GroupSpec }
  | { readonly kind: 'change-health-check'; readonly group: string; readonly check: SeenCheck }
  | { readonly kind: 'set-group-attributes'; readonly group: string; readonly attributes: Tags }
  | {
      readonly kind: 'register-targets' | 'deregister-targets';
      readonly group: string;
      readonly targets: readonly TargetSpec[];
      /** Fingerprint of the instances towards which this goes, where the note on the shared group is about them. */
      readonly basis?: string;
    }
  | { readonly kind: 'note-targets'; readonly basis: string }
  | { readonly kind: 'spare-others'; readonly group: string }
  | { readonly kind: 'delete-target-group'; readonly group: string }
  | { readonly kind: 'create-balancer'; readonly key: string; readonly spec: BalancerSpec }
  | { readonly kind: 'set-balancer-attributes'; readonly balancer: string; readonly attributes: Tags }
  | {
      readonly kind: 'set-subnets';
      readonly balancer: string;
      readonly zones: readonly DesiredZone[];
      readonly ipv6SourceNat?: 'on' | 'off';
      readonly ipAddressType?: 'dualstack';
    }
  | {
      readonly kind: 'set-security-groups';
      readonly balancer: string;
      readonly groups: readonly GroupName[];
      readonly privateLinkRules?: 'on' | 'off';
    }
  | { readonly kind: 'set-address-type'; readonly balancer: string; readonly ipAddressType: 'ipv4' | 'dualstack' }
  | { readonly kind: 'set-capacity'; readonly balancer: string; readonly capacityUnits: number }
  | { readonly kind: 'delete-balancer'; readonly balancer: string }
  | { readonly kind: 'adopt-balancer'; readonly arn: string; readonly tags: Tags }
  | { readonly kind: 'leave-balancer'; readonly balancer: string }
  | { readonly kind: 'create-listener'; readonly balancer: string; readonly spec: ListenerSpec }
  | { readonly kind: 'change-listener'; readonly balancer: string; readonly spec: ListenerSpec }
  | { readonly kind: 'set-listener-attributes'; readonly balancer: string; readonly port: number; readonly attributes: Tags }
  | {
      readonly kind: 'add-certificates' | 'remove-certificates';
      readonly balancer: string;
      readonly port: number;
      readonly certificates: readonly string[];
    }
  | { readonly kind: 'delete-listener'; readonly balancer: string; readonly port: number }
  | { readonly kind: 'tag-listeners'; readonly balancer: string; readonly tags: Tags }
  | { readonly kind: 'add-tags'; readonly resources: readonly string[]; readonly tags: Tags }
  | { readonly kind: 'remove-tags'; readonly resources: readonly string[]; readonly tags: readonly string[] };

export interface GroupSpec {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly vpcId: string;
  readonly check: SeenCheck;
  readonly tags: Tags;
}

export interface TargetSpec {
  readonly id: string;
  readonly port: number;
}

export interface BalancerSpec {
  readonly name: string;
  readonly scheme: 'internal' | 'internet-facing';
  readonly ipAddressType: 'ipv4' | 'dualstack';
  readonly zones: readonly DesiredZone[];
  readonly groups: readonly GroupName[];
  readonly ipv6SourceNat?: 'on' | 'off';
  readonly tags: Tags;
}

export type ListenerSpec = Pick<DesiredListener, 'port' | 'protocol' | 'certificates' | 'tlsPolicy' | 'alpnPolicy'> & {
  /** Name of the target group. */
  readonly group: string;
  /** Absent: `group` gets everything. */
  readonly spread?: {
    /** Of `group`. */
    readonly weight: number;
    readonly sticky: boolean;
    /** Others by name, or by the ARN of one that others made. */
    readonly others: readonly { readonly weight: number; readonly group?: string; readonly arn?: string }[];
  };
  readonly tags: Tags;
};

/** Words that every step has beside its act. */
export function step(
  act: Act,
  summary: string,
  reason: string,
  more: Partial<Pick<Step, 'choice' | 'disrupts' | 'waitsFor'>> = {},
): AwsStep {
  return { ...act, summary, reason, call: callOf(act), disrupts: false, ...more };
}
