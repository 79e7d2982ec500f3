import { adoptBalancer, leaveBalancer } from './apply-adoption.ts';
import { changeBalancer, createBalancer, deleteBalancer } from './apply-balancers.ts';
import { changeTraffic, createSecurityGroup, deleteSecurityGroup, releaseSecurityGroup, tagSecurityGroup } from './apply-ec2.ts';
import { changeGroup, changeTags, createGroup, deleteGroup, moveTargets, spareOthers, tagListeners } from './apply-groups.ts';
import { changeListener, changeListenerParts, createListener, deleteListener } from './apply-listeners.ts';
import type { Bench } from './bench.ts';
import type { Act } from './steps.ts';

/** Does one act: one call, safe to repeat, whose answer goes into the inventory. */
export function applyAct(bench: Bench, act: Act): Promise<void> {
  switch (act.kind) {
    case 'create-security-group':
      return createSecurityGroup(bench, act);
    case 'allow-traffic':
    case 'revoke-traffic':
      return changeTraffic(bench, act);
    case 'delete-security-group':
      return deleteSecurityGroup(bench, act);
    case 'release-security-group':
      return releaseSecurityGroup(bench, act);
    case 'tag-security-group':
      return tagSecurityGroup(bench, act);
    case 'create-target-group':
      return createGroup(bench, act);
    case 'change-health-check':
    case 'set-group-attributes':
      return changeGroup(bench, act);
    case 'register-targets':
    case 'deregister-targets':
      return moveTargets(bench, act);
    case 'note-targets':
      return bench.ledger.begin(act.basis);
    case 'spare-others':
      return spareOthers(bench, act);
    case 'delete-target-group':
      return deleteGroup(bench, act);
    case 'create-balancer':
      return createBalancer(bench, act);
    case 'set-balancer-attributes':
    case 'set-subnets':
    case 'set-security-groups':
    case 'set-address-type':
    case 'set-capacity':
      return changeBalancer(bench, act);
    case 'adopt-balancer':
      return adoptBalancer(bench, act);
    case 'leave-balancer':
      return leaveBalancer(bench, act);
    case 'delete-balancer':
      return deleteBalancer(bench, act);
    case 'create-listener':
      return createListener(bench, act);
    case 'change-listener':
      return changeListener(bench, act);
    case 'set-listener-attributes':
    case 'add-certificates':
    case 'remove-certificates':
      return changeListenerParts(bench, act);
    case 'delete-listener':
      return deleteListener(bench, act);
    case 'tag-listeners':
      return tagListeners(bench, act);
    case 'add-tags':
    case 'remove-tags':
      return changeTags(bench, act);
  }
}
