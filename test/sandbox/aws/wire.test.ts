import { describe, expect, test } from '@jest/globals';
import { openScene } from './clients.ts';

const signed = (service: string, region = 'eu-west-1') => ({
  authorization: `AWS4-HMAC-SHA256 Credential=test/20270101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
});

async function post(url: string, body: string, headers: Record<string, string>) {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await fetch(url, { method: 'POST', body, headers: { ...type, ...headers } });
  return { status: answer.status, text: await answer.text() };
}

const ELB = 'Version=2015-12-01';
const EC2 = 'Version=2016-11-15';

describe('what is wrong is said in the words of the service', () => {
  test.each([
    { why: 'an action that there is not', body: `Action=Nothing&${ELB}`, service: 'elasticloadbalancing', code: 'InvalidAction' },
    { why: 'no action', body: ELB, service: 'elasticloadbalancing', code: 'MissingAction' },
    { why: 'a version of no API', body: 'Action=Nothing&Version=1999-01-01', service: 'ec2', code: 'InvalidAction' },
    { why: 'an action out of Object.prototype', body: `Action=toString&${EC2}`, service: 'ec2', code: 'InvalidAction' },
    {
      why: 'a parameter that nobody reads',
      body: `Action=DescribeLoadBalancers&${ELB}&Colour=red`,
      service: 'elasticloadbalancing',
      code: 'ValidationError',
    },
    { why: 'the same at EC2', body: `Action=DescribeVpcs&${EC2}&Colour=red`, service: 'ec2', code: 'UnknownParameter' },
    {
      why: 'a parameter that is missing',
      body: `Action=CreateListener&${ELB}`,
      service: 'elasticloadbalancing',
      code: 'ValidationError',
    },
    { why: 'the same at EC2', body: `Action=CreateTags&${EC2}`, service: 'ec2', code: 'MissingParameter' },
    {
      why: 'a structure for a text',
      body: `Action=DeleteSecurityGroup&${EC2}&GroupId.1=x`,
      service: 'ec2',
      code: 'InvalidParameterValue',
    },
    {
      why: 'names that go too deep',
      body: `Action=DescribeVpcs&${EC2}&${'a.'.repeat(20)}b=1`,
      service: 'ec2',
      code: 'MalformedQueryString',
    },
  ])('$why', async ({ body, service, code }) => {
    const { aws } = await openScene();
    const { status, text } = await post(aws.url, body, signed(service));
    expect(status).toBe(400);
    expect(text).toContain(`<Code>${code}</Code>`);
  });
});

describe('who calls', () => {
  test('a request that is not signed is refused', async () => {
    const { aws } = await openScene();
    const { status, text } = await post(aws.url, `Action=DescribeVpcs&${EC2}`, {});
    expect([status, text]).toEqual([403, expect.stringContaining('MissingAuthenticationToken')]);
  });

  test('one that is signed for another region is refused', async () => {
    const { elb } = await openScene({}, 'us-east-1');
    await expect(elb.describeLoadBalancers({})).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
      message: expect.stringContaining('us-east-1'),
    });
  });

  test('one that is signed for another service is refused', async () => {
    const { aws } = await openScene();
    expect((await post(aws.url, `Action=DescribeVpcs&${EC2}`, signed('s3'))).status).toBe(403);
  });

  test.each([
    { why: 'with its token', token: (given: string) => given, aheadMs: 0, code: undefined },
    { why: 'without its token', token: () => '', aheadMs: 0, code: 'AuthFailure' },
    { why: 'after its time', token: (given: string) => given, aheadMs: 3_600_000, code: 'RequestExpired' },
  ])('credentials that STS gave out, $why', async ({ token, aheadMs, code }) => {
    const { aws } = await openScene();
    const asked = 'RoleArn=arn:aws:iam::123456789012:role/x&RoleSessionName=me';
    const { text } = await post(aws.url, `Action=AssumeRole&Version=2011-06-15&${asked}`, signed('sts'));
    const given = (name: string) => new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1] ?? '';
    aws.advance(aheadMs);
    const { authorization } = signed('ec2');
    const answer = await post(aws.url, `Action=DescribeVpcs&${EC2}`, {
      authorization: authorization.replace('=test/', `=${given('AccessKeyId')}/`),
      'x-amz-security-token': token(given('SessionToken')),
    });
    expect(/<Code>(\w+)</.exec(answer.text)?.[1]).toBe(code);
  });

  test('STS says whose account it is, to any region', async () => {
    const { aws } = await openScene();
    const { status, text } = await post(aws.url, 'Action=GetCallerIdentity&Version=2011-06-15', signed('sts', 'us-east-1'));
    expect(status).toBe(200);
    expect(text).toContain('<Account>123456789012</Account>');
  });
});

test('a body without end is cut off, and the next one is answered', async () => {
  const { aws, ec2 } = await openScene();
  await expect(post(aws.url, 'a'.repeat(2_000_000), {})).rejects.toBeDefined();
  expect((await ec2.describeVpcs({})).Vpcs).toHaveLength(1);
});

test('EC2 words its failures in its own structure', async () => {
  const { aws } = await openScene();
  const { text } = await post(aws.url, `Action=DescribeVpcs&${EC2}&VpcId.1=vpc-2`, signed('ec2'));
  expect(text).toMatch(
    /<Response><Errors><Error><Code>InvalidVpcID.NotFound<\/Code><Message>[^<]+<\/Message><\/Error><\/Errors><RequestID>/,
  );
});

test('what the account holds is told to tests', async () => {
  const { aws, ec2, elb } = await openScene();
  const empty = { loadBalancers: [], targetGroups: [], listeners: [], securityGroups: [], rules: [], heldAddresses: [] };
  expect(aws.leftovers()).toEqual(empty);
  const SubnetMappings = [{ SubnetId: 'subnet-public-a', AllocationId: 'eipalloc-2' }];
  const made = await elb.createLoadBalancer({ Name: 'x', Type: 'network', SubnetMappings, Tags: [{ Key: 'k', Value: 'v' }] });
  const arn = made.LoadBalancers![0]!.LoadBalancerArn!;
  const IpPermissions = [{ IpProtocol: 'udp', FromPort: 53, ToPort: 53, IpRanges: [{ CidrIp: '10.0.0.0/8' }] }];
  await ec2.authorizeSecurityGroupIngress({ GroupId: 'sg-nodes', IpPermissions });
  expect(aws.leftovers()).toMatchObject({ loadBalancers: [arn], heldAddresses: ['eipalloc-2'] });
  expect(aws.leftovers().rules).toHaveLength(1);
  expect(aws.tagsOf(arn)).toEqual({ k: 'v' });
});
