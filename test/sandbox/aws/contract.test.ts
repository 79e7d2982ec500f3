import { startAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { type AwsUnderTest, awsContract } from '../../contracts/aws.ts';

const STOPPED = 'i-0000000000000ffff';

awsContract('the sandbox', async (): Promise<AwsUnderTest> => {
  const seed = typicalAccount();
  const second = { ...seed.subnets[0]!, id: 'subnet-second-a', cidr: '10.0.240.0/24', tags: {} };
  const stopped = { ...seed.instances![0]!, id: STOPPED, privateIp: '10.0.16.99', state: 'stopped' as const };
  const aws = await startAws({
    seed: { ...seed, subnets: [...seed.subnets, second], instances: [...seed.instances!, stopped] },
    timings: { activeMs: 30, healthyMs: 60, drainingMs: 60 },
  });
  const ids = (kind: string) => ['a', 'b', 'c'].map((letter) => `subnet-${kind}-${letter}`);
  return {
    endpoint: aws.url,
    region: aws.region,
    ground: {
      vpcId: 'vpc-1',
      publicSubnets: ids('public'),
      privateSubnets: ids('private'),
      secondInZone: second.id,
      instances: seed.instances!.map(({ id }) => id),
      stoppedInstance: STOPPED,
      nodeGroup: 'sg-nodes',
      certificates: seed.certificates!,
      allocations: seed.addresses!.map(({ allocationId }) => allocationId),
      prefixList: 'pl-1',
    },
    close: aws.close,
  };
});
