import { CreateSecurityGroupCommand, DescribeSubnetsCommand } from '@aws-sdk/client-ec2';
import { DeleteTargetGroupCommand, DescribeLoadBalancersCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { AwsCalls, WriteWithheld } from '../../../src/providers/aws/calls.ts';
import { usualBuckets } from '../../../src/providers/aws/limiter.ts';

/** Single exchanges of the SDK, byte for byte as the services have them; what is not answered here goes nowhere. */
const ELB = 'https://elasticloadbalancing.eu-west-1.amazonaws.com';
const EC2 = 'https://ec2.eu-west-1.amazonaws.com';
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };

let calls: AwsCalls;
let outcomes: string[];

beforeEach(() => {
  nock.disableNetConnect();
  outcomes = [];
  calls = new AwsCalls({ region: 'eu-west-1', credentials, attempts: 3 }, usualBuckets, (action, outcome) =>
    outcomes.push(`${action} ${outcome}`),
  );
});
afterEach(() => {
  calls.close();
  expect(nock.pendingMocks()).toEqual([]);
  nock.cleanAll();
  nock.enableNetConnect();
});
/** The patched sockets are Node's own: every later test file of this worker would have them too. */
afterAll(() => nock.restore());

const balancers = `<DescribeLoadBalancersResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">
  <DescribeLoadBalancersResult><LoadBalancers><member>
    <LoadBalancerName>web</LoadBalancerName><State><Code>active</Code></State>
  </member></LoadBalancers></DescribeLoadBalancersResult>
</DescribeLoadBalancersResponse>`;
const elbError = (code: string, message: string) =>
  `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
const ec2Error = (code: string, message: string) =>
  `<Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>1</RequestID></Response>`;

const readBalancers = () =>
  calls.elb('DescribeLoadBalancers', (elb) => elb.send(new DescribeLoadBalancersCommand({ PageSize: 20 })));
const makeGroup = () =>
  calls.ec2('CreateSecurityGroup', (ec2) => ec2.send(new CreateSecurityGroupCommand({ GroupName: 'web', Description: 'web' })));

describe('one exchange with AWS', () => {
  test('is a signed request of the query protocol, and its XML is read', async () => {
    nock(ELB, {
      reqheaders: { authorization: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/elasticloadbalancing\// },
    })
      .post('/', { Action: 'DescribeLoadBalancers', Version: '2015-12-01', PageSize: '20' })
      .reply(200, balancers);
    expect((await readBalancers()).LoadBalancers).toEqual([{ LoadBalancerName: 'web', State: { Code: 'active' } }]);
    expect(outcomes).toEqual(['elasticloadbalancing:DescribeLoadBalancers ok']);
  });

  test.each<{ why: string; first: (scope: nock.Interceptor) => nock.Scope }>([
    { why: 'throttling', first: (one) => one.reply(400, elbError('Throttling', 'Rate exceeded')) },
    { why: 'an AWS that is out of order', first: (one) => one.reply(503, elbError('ServiceUnavailable', 'later')) },
    { why: 'a gateway that answers with HTML', first: (one) => one.reply(502, '<html><body>Bad Gateway</body></html>') },
    {
      why: 'a connection that is reset',
      first: (one) => one.replyWithError(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })),
    },
  ])('is repeated after $why, and counts once', async ({ first }) => {
    first(nock(ELB).post('/'));
    nock(ELB).post('/').reply(200, balancers);
    expect((await readBalancers()).LoadBalancers).toHaveLength(1);
    expect(outcomes).toEqual(['elasticloadbalancing:DescribeLoadBalancers ok']);
  });

  test('that stays throttled fails by its name after as many tries as are allowed', async () => {
    nock(ELB).post('/').times(3).reply(400, elbError('Throttling', 'Rate exceeded'));
    await expect(readBalancers()).rejects.toMatchObject({
      awsName: 'Throttling',
      action: 'elasticloadbalancing:DescribeLoadBalancers',
    });
  });

  test.each([
    { aws: 'UnauthorizedOperation', status: 403, code: 'AwsDenied' },
    { aws: 'ExpiredToken', status: 400, code: 'AwsCredentials' },
    { aws: 'InvalidVpcID.NotFound', status: 400, code: 'AwsResourceUnknown' },
    { aws: 'SecurityGroupLimitExceeded', status: 400, code: 'QuotaExceeded' },
  ])('$aws is told as $code, with our own call, and is not repeated', async ({ aws, status, code }) => {
    nock(EC2)
      .post('/', /Action=CreateSecurityGroup/)
      .reply(status, ec2Error(aws, 'because AWS says so'));
    await expect(makeGroup()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`ec2:CreateSecurityGroup: ${aws}: because AWS says so`),
    });
    expect(outcomes).toEqual([`ec2:CreateSecurityGroup ${aws}`]);
  });

  test('an answer that is no XML is a failure with the call’s name, not a crash', async () => {
    nock(EC2).post('/').reply(200, '{"not": "xml"}');
    const answer = calls.ec2('DescribeSubnets', (ec2) => ec2.send(new DescribeSubnetsCommand({})));
    await expect(answer).rejects.toMatchObject({ action: 'ec2:DescribeSubnets' });
  });

  test('a write that is no longer allowed is not sent, nor repeated', async () => {
    let mayWrite = true;
    calls.withholdWrites(() => mayWrite);
    nock(ELB)
      .post('/', /Action=DeleteTargetGroup/)
      .reply(() => {
        mayWrite = false;
        return [400, elbError('Throttling', 'Rate exceeded')];
      });
    const remove = calls.elb('DeleteTargetGroup', (elb) => elb.send(new DeleteTargetGroupCommand({ TargetGroupArn: 'arn:x' })));
    await expect(remove).rejects.toMatchObject({ awsName: 'WriteWithheld', cause: expect.any(WriteWithheld) });
  });
});
