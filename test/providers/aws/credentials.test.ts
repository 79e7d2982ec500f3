import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeLoadBalancersCommand, type DescribeLoadBalancersCommandOutput } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import { AwsCalls } from '../../../src/providers/aws/calls.ts';
import { usualBuckets } from '../../../src/providers/aws/limiter.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { nothingReserved } from '../builders.ts';
import { want } from '../drive.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';
import { runWorkers } from './workers.ts';

/** The default chain of the SDK, with nothing but the environment to find credentials by. */
const ROLE = 'arn:aws:iam::123456789012:role/nodeport-lb';
const HOUR_MS = 3_600_000;

let aws: SandboxAws;
let folder: string;
let provider: Provider | undefined;
let cluster: Running | undefined;
let pods: Server | undefined;
let calls: AwsCalls | undefined;
const before = new Map<string, string>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('AWS_') || value === undefined) continue;
    before.set(name, value);
    delete process.env[name];
  }
});
afterEach(async () => {
  await cluster?.close();
  await provider?.close(0);
  calls?.close();
  pods?.closeAllConnections();
  pods?.close();
  await aws.close();
  await rm(folder, { recursive: true });
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  for (const [name, value] of before) process.env[name] = value;
  [cluster, provider, pods, calls] = [undefined, undefined, undefined, undefined];
  before.clear();
});

/** An account, and a machine that knows nothing of it but where it is. */
async function begin(options: AwsOptions = {}): Promise<void> {
  aws = await makeAws(options);
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: aws.url,
    AWS_REGION: aws.region,
    AWS_CONFIG_FILE: join(folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

async function open(): Promise<Provider> {
  provider = makeProvider(aws, { connection: {} });
  await provider.open({ balancers: [nlb()], surroundings: nothingReserved, changed: () => {} });
  return provider;
}

function read(): Promise<DescribeLoadBalancersCommandOutput> {
  calls ??= new AwsCalls({}, usualBuckets);
  return calls.elb('DescribeLoadBalancers', (elb) => elb.send(new DescribeLoadBalancersCommand({})));
}

/** A token as the cluster projects it into a pod. */
function projectToken(name: string, expiresAtMs: number): Promise<void> {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { exp: Math.floor(expiresAtMs / 1_000), sub: 'system:serviceaccount:nodeport-lb:nodeport-lb' };
  return writeFile(join(folder, name), `${part({ alg: 'RS256' })}.${part(claims)}.signature`);
}

async function useWebIdentity(expiresAtMs = Date.now() + HOUR_MS, role = ROLE): Promise<void> {
  await projectToken('token', expiresAtMs);
  Object.assign(process.env, { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token') });
}

/** The agent of EKS Pod Identity: for the token that is valid now it gives out what STS gave it. */
async function usePodIdentity(valid: () => string): Promise<void> {
  pods = createServer((request, response) => {
    const { accessKeyId, sessionToken, expiresAtMs } = aws.world.sessions.open(ROLE, Date.now() + HOUR_MS);
    const given = { AccessKeyId: accessKeyId, SecretAccessKey: 's', Token: sessionToken };
    const isValid = request.headers.authorization === valid();
    response.writeHead(isValid ? 200 : 403, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isValid ? { ...given, Expiration: new Date(expiresAtMs).toISOString() } : { code: 'Denied' }));
  });
  await new Promise<void>((resolve) => pods!.listen(0, '127.0.0.1', resolve));
  const { port } = pods.address() as AddressInfo;
  await writeFile(join(folder, 'pod-token'), 'first');
  Object.assign(process.env, {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder, 'pod-token'),
  });
}

async function useProfile(lines: readonly string[]): Promise<void> {
  await writeFile(join(folder, 'config'), ['[profile shop]', `role_arn = ${ROLE}`, ...lines].join('\n'));
  await writeFile(join(folder, 'credentials'), '[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n');
  process.env['AWS_PROFILE'] = 'shop';
}

describe('a balancer is made with', () => {
  test.each<{ why: string; prepare: () => Promise<void> }>([
    { why: 'a web identity, as IRSA gives it', prepare: () => useWebIdentity() },
    {
      why: 'keys, and an endpoint for each service',
      prepare: async () => {
        Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIAENV', AWS_SECRET_ACCESS_KEY: 's' });
        process.env['AWS_ENDPOINT_URL_EC2'] = process.env['AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2'] = aws.url;
        process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'; // nobody is there
      },
    },
    { why: 'EKS Pod Identity', prepare: () => usePodIdentity(() => 'first') },
    {
      why: 'a profile that assumes a role from another',
      prepare: () => useProfile(['source_profile = base', 'external_id = shop']),
    },
    {
      why: 'a profile with a web identity',
      prepare: async () => {
        await projectToken('token', Date.now() + HOUR_MS);
        await useProfile([`web_identity_token_file = ${join(folder, 'token')}`]);
      },
    },
  ])('$why', async ({ prepare }) => {
    await begin();
    await prepare();
    await want(await open(), nlb());
    expect(aws.loadBalancers()).toHaveLength(1);
  });
});

describe('credentials that end', () => {
  test('a token that is projected anew is read for the next ones', async () => {
    await begin({ sessionMs: 1_000 });
    await useWebIdentity();
    await read();
    await projectToken('token', Date.now() - HOUR_MS);
    const deadline = Date.now() + 60_000;
    for (let told = ''; !told.includes('ExpiredTokenException'); ) {
      if (Date.now() > deadline) throw new Error(`the first credentials have not ended: ${told}`);
      told = await read().then(
        () => 'it is answered',
        (thrown: Error) => thrown.message,
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await projectToken('token', Date.now() + HOUR_MS);
    expect((await read()).LoadBalancers).toEqual([]);
  });

  test('so is that of Pod Identity', async () => {
    let valid = 'first';
    await begin();
    await usePodIdentity(() => valid);
    const first = await open();
    await want(first, nlb());
    await first.close(0);
    valid = 'second';
    await writeFile(join(folder, 'pod-token'), valid);
    await want(await open(), nlb({ name: 'second' }));
    expect(aws.loadBalancers()).toHaveLength(2);
  });
});

describe('what is wrong with them is named, and is not taken for a missing permission', () => {
  const web = (file: string): void => {
    Object.assign(process.env, { AWS_ROLE_ARN: ROLE, AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, file) });
  };

  test.each<{ why: string; prepare: () => void | Promise<void>; says: RegExp }>([
    { why: 'none at all', prepare: () => {}, says: /Could not load credentials from any providers/ },
    {
      why: 'a token file that is not there',
      prepare: () => web('nowhere'),
      says: /ENOENT.*nowhere.*AWS_WEB_IDENTITY_TOKEN_FILE/,
    },
    {
      why: 'a token that is out of date',
      prepare: () => useWebIdentity(Date.now() - HOUR_MS),
      says: /ExpiredToken.*AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE/,
    },
    {
      why: 'something that is no token',
      prepare: () => writeFile(join(folder, 'junk'), 'no token').then(() => web('junk')),
      says: /InvalidIdentityToken/,
    },
    {
      why: 'a role that does not trust the cluster',
      prepare: () => useWebIdentity(Date.now() + HOUR_MS, 'arn:aws:iam::999999999999:role/other'),
      says: /AccessDenied.*sts:AssumeRoleWithWebIdentity/,
    },
    {
      why: 'a Pod Identity that is refused',
      prepare: () => usePodIdentity(() => 'another'),
      says: /AWS_CONTAINER_CREDENTIALS_FULL_URI/,
    },
    {
      why: 'a profile that is not there',
      prepare: () => {
        process.env['AWS_PROFILE'] = 'missing';
      },
      says: /AWS_PROFILE/,
    },
  ])('$why', async ({ prepare, says }) => {
    await begin();
    await prepare();
    await expect(read()).rejects.toMatchObject({ code: 'AwsCredentials', message: expect.stringMatching(says) });
  });
});

/** A cluster with a controller. */
async function control(): Promise<Running> {
  cluster = await runWorkers();
  await cluster.start(makeProvider(aws, { connection: {} }));
  return cluster;
}

const condition = () => cluster!.service('web')?.conditions.find(({ type }) => type === CONDITION);

test('a Service is told, with the cure, and is served without anybody touching it once there are credentials', async () => {
  await begin();
  await useWebIdentity(Date.now() - HOUR_MS);
  const { create, until, events } = await control();
  create('web');
  await until('it is told', () => condition()?.reason === 'AwsCredentials');
  expect(condition()?.message).toMatch(/ExpiredTokenException.*Give the controller valid AWS credentials/);
  await until('an event', () => events('web').some(({ message }) => message.includes('AWS credentials')));
  await projectToken('token', Date.now() + HOUR_MS);
  await until('Ready', () => condition()?.status === 'True');
}, 120_000);

describe('without a region', () => {
  test('each Service is told, and nothing is held', async () => {
    await begin();
    delete process.env['AWS_REGION'];
    const { create, until, events, service } = await control();
    create('web');
    await until('it is told', () => condition()?.reason === 'AwsRegionUnset');
    expect(condition()?.message).toMatch(/Region is missing.*--aws-region/);
    await until('an event', () => events('web').some(({ message }) => message.includes('--aws-region')));
    expect(service('web')?.finalizers).toEqual([]);
  });

  test('whoever only looks is told at once', async () => {
    await begin();
    delete process.env['AWS_REGION'];
    provider = makeProvider(aws, { connection: {} });
    const start = { balancers: [], surroundings: nothingReserved, changed: () => {}, lookOnly: { standing: [] } };
    await expect(provider.open(start)).rejects.toThrow(/--aws-region: .*Region is missing/);
  });
});
