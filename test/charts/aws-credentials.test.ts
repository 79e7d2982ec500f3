import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { rawNode } from '../cli/objects.ts';
import { endAll, pinnedNode, root, start } from '../cli/run.ts';
import { type SmallKube, startSmallKube } from '../cli/small-kube.ts';

/**
 * The two ways in which a pod of EKS gets its role. The image runs the bundle, and what the SDK loads late must be in it.
 * @see https://docs.aws.amazon.com/eks/latest/userguide/service-accounts.html
 */

jest.setTimeout(120_000); // builds, and starts processes, on a machine that may be busy

let folder = '';
let kube: SmallKube;
let aws: FakeAws;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  await promisify(execFile)(pinnedNode, [join(root, 'src', 'build.ts'), join(folder, 'dist')]);
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  await writeFile(join(folder, 'token'), 'a-token-of-the-pod');
  kube = await startSmallKube();
  kube.put('nodes', rawNode('n1', '10.0.0.1'));
  aws = await startFakeAws();
});
afterAll(async () => {
  endAll();
  aws.server.closeAllConnections();
  aws.server.close();
  await kube.close();
  await rm(folder, { recursive: true });
});

interface FakeAws {
  readonly server: Server;
  readonly url: string;
  /** Resolves when a call is signed with this key. */
  signedWith(key: string): Promise<void>;
}

const EXPIRES = '2099-01-01T00:00:00Z';

/** Gives out credentials for the pod's token as STS and as the agent of EKS Pod Identity do, and refuses everything else. */
async function startFakeAws(): Promise<FakeAws> {
  const waiting = new Map<string, () => void>();
  const server = createServer(async (request, response) => {
    const body = await readBody(request);
    const key = /Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1];
    if (request.url === '/v1/credentials' && request.headers.authorization === 'a-token-of-the-pod') {
      const credentials = { AccessKeyId: 'FROMPODIDENTITY', SecretAccessKey: 's', Token: 't', Expiration: EXPIRES };
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(credentials));
    }
    if (body.includes('Action=AssumeRoleWithWebIdentity') && body.includes('WebIdentityToken=a-token-of-the-pod')) {
      return response.writeHead(200, { 'content-type': 'text/xml' }).end(stsAnswer());
    }
    if (key) waiting.get(key)?.();
    return response.writeHead(403, { 'content-type': 'text/xml' }).end('<Response><Errors/></Response>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { server, url, signedWith: (key) => new Promise((resolve) => waiting.set(key, resolve)) };
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function stsAnswer(): string {
  const credentials = `<AccessKeyId>FROMSTS</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${EXPIRES}</Expiration>`;
  const result = `<AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials></AssumeRoleWithWebIdentityResult>`;
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${result}</AssumeRoleWithWebIdentityResponse>`;
}

test.each<{ why: string; key: string; env: () => Record<string, string> }>([
  {
    why: 'IRSA: the annotation eks.amazonaws.com/role-arn',
    key: 'FROMSTS',
    env: () => ({
      AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/nodeport-lb',
      AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token'),
      AWS_ENDPOINT_URL_STS: aws.url,
    }),
  },
  {
    why: 'EKS Pod Identity',
    key: 'FROMPODIDENTITY',
    env: () => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${aws.url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder, 'token'),
    }),
  },
])('calls are signed with the role of the pod: $why', async ({ key, env }) => {
  const signed = aws.signedWith(key);
  const args = ['controller', '--kubeconfig', kube.kubeconfig, '--provider', 'aws', '--dry-run', '--aws-vpc-id', 'vpc-0a1b2c3d'];
  const running = start(args, {
    bin: join(folder, 'dist', 'main.js'),
    env: { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: aws.url, AWS_EC2_METADATA_DISABLED: 'true', ...env() },
  });
  const ended = running.ended.then(({ stdout, stderr }) => {
    throw new Error(`it ended without a call:\n${stdout}${stderr}`);
  });
  await expect(Promise.race([signed, ended])).resolves.toBeUndefined();
  ended.catch(() => {});
  running.child.kill('SIGKILL');
  await running.ended;
});
