import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { Answer, RequestOptions } from './client.ts';

/** For the API server: kept connections. */
const apiAgent = new https.Agent({ keepAlive: true, maxSockets: 16 });

/** One request, to its end. Without an agent it has a connection of its own. */
export function request(options: RequestOptions, agent?: http.Agent): Promise<Answer> {
  const url = new URL(options.url);
  const tls = url.protocol === 'https:';
  const ca = options.caFile === undefined ? undefined : readFileSync(options.caFile);
  return new Promise((resolve, reject) => {
    const sent = (tls ? https : http).request(url, {
      method: options.method ?? 'GET',
      headers: { ...options.headers, 'content-length': Buffer.byteLength(options.body ?? '') }, // not by itself on a DELETE
      agent: tls ? apiAgent : (agent ?? false),
      ca,
      signal: AbortSignal.timeout(options.timeoutMs ?? 5_000),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on('error', reject);
    });
    sent.end(options.body);
  });
}
