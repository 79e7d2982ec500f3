import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Served {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly incoming: IncomingMessage;
}

/** A server on port 0 of 127.0.0.1; over TLS when it has options for that. */
export async function serve(answer: (asked: Asked, response: ServerResponse) => void, tls?: ServerOptions): Promise<Served> {
  const onRequest = (incoming: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '/', 'http://server');
      const body = Buffer.concat(chunks).toString();
      answer({ method: incoming.method ?? '', url, headers: incoming.headers, body, incoming }, response);
    });
  };
  const server = tls ? createTlsServer(tls, onRequest) : createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function reply(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** metav1.Status, as the API server refuses. */
export function refusal(code: number, reason: string, message: string): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
}

export interface KubeconfigParts {
  readonly server: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly namespace?: string;
}

/** A kubeconfig with one context, `lab`. */
export function kubeconfigOf({ server, cluster = {}, user = {}, namespace }: KubeconfigParts): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'lab',
    clusters: [{ name: 'lab-cluster', cluster: { server, ...cluster } }],
    users: [{ name: 'lab-user', user }],
    contexts: [{ name: 'lab', context: { cluster: 'lab-cluster', user: 'lab-user', ...(namespace ? { namespace } : {}) } }],
  };
}

/** A directory that goes with the test. */
export function makeDirectory(): {
  readonly path: string;
  write(name: string, content: string | object): string;
  remove(): void;
} {
  const path = mkdtempSync(join(tmpdir(), 'nodeport-lb-'));
  return {
    path,
    write(name, content) {
      const file = join(path, name);
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
      return file;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Polls until it is so. @throws after `withinMs`, default 5,000 */
export async function until(condition: () => boolean, withinMs = 60_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not so within ${withinMs} ms: ${condition}`);
    await sleep(5);
  }
}
