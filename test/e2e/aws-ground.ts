import { EC2 } from '@aws-sdk/client-ec2';
import { type Emulator, type EngineOptions, startStrict } from '../../localstack/engines.ts';
import { typicalAccount } from '../../src/sandbox/aws/seed.ts';
import type { AwsUnderTest, Ground } from '../contracts/aws/stage.ts';

const REGION = 'eu-west-1';
const letters = ['a', 'b', 'c'];

type Start = (options: EngineOptions) => Promise<Emulator>;

const say = (line: string) => console.error(line);

/** Starts an emulator and builds in it what the contract stands on. @param instances running ones, spread over three zones */
export async function emulated(start: Start, instances = 3): Promise<AwsUnderTest> {
  const emulator = await start({ port: 0, say });
  try {
    const ground = await layGround(emulator.url, instances);
    return { endpoint: emulator.url, region: REGION, ground, close: emulator.close };
  } catch (error) {
    await emulator.close();
    throw error;
  }
}

/** The strict sandbox as a process of its own, whose account holds all this from the beginning. */
export async function strict(instances = 3): Promise<AwsUnderTest> {
  const seed = typicalAccount({ instances });
  const subnets = (kind: string) => letters.map((letter) => `subnet-${kind}-${letter}`);
  const { url, close } = await startStrict({ port: 0, say, instances });
  const ground: Ground = {
    vpcId: 'vpc-1',
    publicSubnets: subnets('public'),
    privateSubnets: subnets('private'),
    secondInZone: 'subnet-second-a',
    instances: (seed.instances ?? []).map(({ id }) => id),
    stoppedInstance: '',
    nodeGroup: 'sg-nodes',
    certificates: seed.certificates ?? [],
    allocations: (seed.addresses ?? []).map(({ allocationId }) => allocationId),
    prefixList: 'pl-1',
  };
  return { endpoint: url, region: seed.region, ground, close };
}

/** A VPC with its subnets, ways, instances, addresses and certificates. */
async function layGround(endpoint: string, instances: number): Promise<Ground> {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const ec2 = new EC2({ endpoint, region: REGION, credentials });
  try {
    return await lay(ec2, endpoint, instances);
  } finally {
    ec2.destroy();
  }
}

async function lay(ec2: EC2, endpoint: string, wanted: number): Promise<Ground> {
  const vpcId = (await ec2.createVpc({ CidrBlock: '10.0.0.0/16', AmazonProvidedIpv6CidrBlock: true })).Vpc!.VpcId!;
  const block = (await ec2.describeVpcs({ VpcIds: [vpcId] })).Vpcs![0]!.Ipv6CidrBlockAssociationSet?.[0]?.Ipv6CidrBlock;
  const subnet = async (letter: string, third: number, role: string): Promise<string> => {
    const made = await ec2.createSubnet({
      VpcId: vpcId,
      AvailabilityZone: REGION + letter,
      CidrBlock: `10.0.${third}.0/24`,
      ...(block ? { Ipv6CidrBlock: block.replace(/..::\/56$/, `${third.toString(16).padStart(2, '0')}::/64`) } : {}),
      TagSpecifications: role ? [{ ResourceType: 'subnet', Tags: [{ Key: `kubernetes.io/role/${role}`, Value: '1' }] }] : [],
    });
    return made.Subnet!.SubnetId!;
  };
  const publicSubnets = await Promise.all(letters.map((letter, index) => subnet(letter, index, 'elb')));
  const privateSubnets = await Promise.all(letters.map((letter, index) => subnet(letter, 16 + index, 'internal-elb')));
  const secondInZone = await subnet('a', 32, '');
  await openToInternet(ec2, vpcId, publicSubnets);
  const group = await ec2.createSecurityGroup({ GroupName: 'nodes', Description: 'worker nodes', VpcId: vpcId });
  const run = async (SubnetId: string, count: number): Promise<readonly string[]> => {
    const groups = { SecurityGroupIds: [group.GroupId!], SubnetId };
    const { Instances } = await ec2.runInstances({ ImageId: 'ami-12c6146b', MinCount: count, MaxCount: count, ...groups });
    return Instances!.map(({ InstanceId }) => InstanceId!);
  };
  const zones = letters.length;
  const inZones = await Promise.all(privateSubnets.map((id, at) => run(id, Math.floor((wanted + zones - 1 - at) / zones))));
  const instances = Array.from({ length: wanted }, (_, at) => inZones[at % zones]![Math.floor(at / zones)]!);
  const [stoppedInstance = ''] = await run(privateSubnets[0]!, 1);
  await ec2.stopInstances({ InstanceIds: [stoppedInstance] });
  const addresses = await Promise.all(letters.map(() => ec2.allocateAddress({ Domain: 'vpc' })));
  const list = { PrefixListName: 'offices', MaxEntries: 5, AddressFamily: 'IPv4' };
  return {
    vpcId,
    publicSubnets,
    privateSubnets,
    secondInZone,
    instances,
    stoppedInstance,
    nodeGroup: group.GroupId!,
    certificates: [await certificate(endpoint, 'one.test'), await certificate(endpoint, 'two.test')],
    allocations: addresses.map(({ AllocationId }) => AllocationId!),
    prefixList: (await ec2.createManagedPrefixList(list)).PrefixList!.PrefixListId!,
  };
}

async function openToInternet(ec2: EC2, VpcId: string, subnets: readonly string[]): Promise<void> {
  const GatewayId = (await ec2.createInternetGateway({})).InternetGateway!.InternetGatewayId!;
  await ec2.attachInternetGateway({ InternetGatewayId: GatewayId, VpcId });
  const RouteTableId = (await ec2.createRouteTable({ VpcId })).RouteTable!.RouteTableId!;
  await ec2.createRoute({ RouteTableId, DestinationCidrBlock: '0.0.0.0/0', GatewayId });
  for (const SubnetId of subnets) await ec2.associateRouteTable({ RouteTableId, SubnetId });
}

/** Asked of ACM by hand: its client is not worth a dependency for this one call. Emulators look at the scope of the signature only. */
async function certificate(endpoint: string, domain: string): Promise<string> {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'CertificateManager.RequestCertificate',
      authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/acm/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify({ DomainName: domain }),
  });
  if (!answer.ok) throw new Error(`${endpoint} gave no certificate: ${answer.status} ${(await answer.text()).slice(0, 300)}`);
  return ((await answer.json()) as { readonly CertificateArn: string }).CertificateArn;
}
