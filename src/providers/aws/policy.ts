import { type Ec2Action, type ElbAction, ec2Actions, elbActions } from './actions.ts';
import { TAG } from './names.ts';

/** An IAM policy as AWS takes it. */
export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

const ELB_CREATES: readonly ElbAction[] = ['CreateLoadBalancer', 'CreateTargetGroup', 'CreateListener'];
/** Groups of nodes do not carry our tags, and rules on them are ours by their source. */
const RULES: readonly Ec2Action[] = ['AuthorizeSecurityGroupIngress', 'RevokeSecurityGroupIngress'];
const TAGGED_ONLY: readonly Ec2Action[] = ['DeleteSecurityGroup', 'DeleteTags'];

/**
 * The least that the provider needs: every action that it can call, and no other. What it changes or deletes must carry the
 * cluster's tag, and what it makes must be given it.
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
 */
export function makePolicy(clusterName: string): Policy {
  const requested = { StringEquals: { [`aws:RequestTag/${TAG.cluster}`]: clusterName } };
  const owned = { StringEquals: { [`aws:ResourceTag/${TAG.cluster}`]: clusterName } };
  const elb = Object.keys(elbActions) as ElbAction[];
  const ec2 = Object.keys(ec2Actions) as Ec2Action[];
  const isRead = (action: string): boolean => action.startsWith('Describe');
  const changes = elb.filter((action) => !isRead(action) && !ELB_CREATES.includes(action) && action !== 'AddTags');
  return {
    Version: '2012-10-17',
    Statement: [
      allow('Read', [...elb.filter(isRead).map(ofElb), ...ec2.filter(isRead).map(ofEc2)], '*'),
      allow('Create', ELB_CREATES.map(ofElb), '*', requested),
      allow('TagWhatIsCreated', [ofElb('AddTags')], '*', {
        StringEquals: { ...requested.StringEquals, 'elasticloadbalancing:CreateAction': ELB_CREATES },
      }),
      allow('ChangeWhatIsOurs', [...changes, 'AddTags'].map(ofElb), '*', owned),
      allow('CreateSecurityGroup', [ofEc2('CreateSecurityGroup')], 'arn:*:ec2:*:*:security-group/*', requested),
      allow('CreateSecurityGroupInVpc', [ofEc2('CreateSecurityGroup')], 'arn:*:ec2:*:*:vpc/*'),
      allow('TagSecurityGroup', [ofEc2('CreateTags')], 'arn:*:ec2:*:*:security-group/*', {
        StringEquals: { ...requested.StringEquals, 'ec2:CreateAction': 'CreateSecurityGroup' },
      }),
      allow('ChangeSecurityGroup', [...TAGGED_ONLY, 'CreateTags'].map(ofEc2), 'arn:*:ec2:*:*:security-group/*', owned),
      allow('Rules', RULES.map(ofEc2), 'arn:*:ec2:*:*:security-group/*'),
      allow('FirstLoadBalancerOfTheAccount', ['iam:CreateServiceLinkedRole'], '*', {
        StringEquals: { 'iam:AWSServiceName': 'elasticloadbalancing.amazonaws.com' },
      }),
    ],
  };
}

function allow(Sid: string, Action: readonly string[], Resource: string, Condition?: Statement['Condition']): Statement {
  return { Sid, Effect: 'Allow', Action: [...Action].sort(), Resource, ...(Condition ? { Condition } : {}) };
}

function ofElb(action: string): string {
  return `elasticloadbalancing:${action}`;
}

function ofEc2(action: string): string {
  return `ec2:${action}`;
}
