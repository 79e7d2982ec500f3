import { request } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type HttpServer, serveHttp } from '../../src/ops/http.ts';
import { noMetrics } from '../../src/ops/metrics.ts';

let server: HttpServer | undefined;
afterEach(() => server?.close());

interface Wish {
  readonly unhealthy?: string;
  readonly unready?: string;
  readonly render?: typeof noMetrics.render;
}

async function serve({ unhealthy, unready, render = noMetrics.render }: Wish): Promise<void> {
  server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    metrics: { render },
    unhealthy: () => unhealthy,
    unready: () => unready,
  });
}

function ask(path: string, method = 'GET'): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: server!.host, port: server!.port, path, method }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve(`${response.statusCode} ${text.trim()}`));
    });
    asking.on('error', reject).end();
  });
}

describe('http', () => {
  test.each<{ wish: Wish; path: string; method?: string; answer: string }>([
    { wish: {}, path: '/healthz', answer: '200 ok' },
    { wish: {}, path: '/readyz?verbose', answer: '200 ok' },
    { wish: { unhealthy: 'the watch is down' }, path: '/healthz', answer: '503 the watch is down' },
    { wish: { unready: 'not synced' }, path: '/readyz', answer: '503 not synced' },
    { wish: { unready: 'not synced' }, path: '/healthz', answer: '200 ok' },
    { wish: { render: async () => ({ type: 'text/plain', text: 'a 1\n' }) }, path: '/metrics', answer: '200 a 1' },
    { wish: {}, path: '/', answer: '404 here are /healthz, /readyz and /metrics' },
    { wish: {}, path: '/metrics', method: 'POST', answer: '405 only GET is served' },
    { wish: {}, path: '/healthz', method: 'HEAD', answer: '200 ' },
  ])('$method $path: $answer', async ({ wish, path, method, answer }) => {
    await serve(wish);
    expect(await ask(path, method)).toBe(answer.trim() === '200' ? '200 ' : answer);
  });

  test('metrics that fail end the request, not the process', async () => {
    await serve({ render: () => Promise.reject(new Error('no')) });
    await expect(ask('/metrics')).rejects.toThrow(/hang up/);
    expect(await ask('/healthz')).toBe('200 ok');
  });

  test('an address that cannot be bound is named', async () => {
    await serve({});
    const again = serveHttp({
      host: '127.0.0.1',
      port: server!.port,
      metrics: noMetrics,
      unhealthy: () => undefined,
      unready: () => undefined,
    });
    await expect(again).rejects.toThrow(`--http "127.0.0.1:${server!.port}": is in use by another process`);
    const far = serveHttp({
      host: '203.0.113.7',
      port: 0,
      metrics: noMetrics,
      unhealthy: () => undefined,
      unready: () => undefined,
    });
    await expect(far).rejects.toThrow('is not an address of this machine');
  });
});
