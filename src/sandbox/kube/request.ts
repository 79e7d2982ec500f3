import type { IncomingMessage } from 'node:http';
import { parse } from 'yaml';
import { ApiFailure, badRequest } from './failure.ts';
import { PROTOBUF, readProtobuf } from './protobuf.ts';

/** The real server's ceiling on a body: 3 MiB. */
const BODY_LIMIT = 3 * 1024 * 1024;

/** A request, read as far as every handler needs it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly agent: string;
  readonly accept: string;
  /** Media type of the body, without parameters. */
  readonly contentType: string;
  readonly body: Buffer;
}

export async function readRequest(incoming: IncomingMessage): Promise<ApiRequest> {
  const url = new URL(incoming.url ?? '/', 'http://sandbox');
  return {
    method: incoming.method ?? 'GET',
    path: decodeURI(url.pathname),
    query: url.searchParams,
    agent: incoming.headers['user-agent'] ?? '',
    accept: incoming.headers.accept ?? '',
    contentType: (incoming.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '',
    body: await readBody(incoming),
  };
}

/** What comes after the limit is read and thrown away, so that the client gets to read its answer. */
function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_LIMIT) chunks.push(chunk);
    });
    incoming.on('end', () => {
      if (size <= BODY_LIMIT) resolve(Buffer.concat(chunks));
      else reject(new ApiFailure(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${BODY_LIMIT}`));
    });
    incoming.on('error', reject);
  });
}

/** The body as JSON; protobuf and YAML where the media type says so, as kubectl's apply does. @throws {ApiFailure} 400, 415 */
export async function parseBody(request: ApiRequest): Promise<unknown> {
  if (request.contentType === PROTOBUF) return readProtobuf(request.body);
  const text = request.body.toString();
  if (text.trim() === '') return undefined;
  const { contentType } = request;
  try {
    if (contentType.endsWith('yaml') && !text.trimStart().startsWith('{')) return parse(text);
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(
      `the object provided is unrecognized: couldn't get version/kind; json parse error: ${(error as Error).message}`,
    );
  }
}

/** Whole number of a query parameter. @returns 0 when absent @throws {ApiFailure} 400 when it is none */
export function numberOf(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? '';
  if (text === '') return 0;
  if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Math.max(0, Number(text));
}

/** Go's strconv.ParseBool: also `1` and `True`. */
export function flagOf(query: URLSearchParams, name: string): boolean {
  return ['1', 't', 'true', 'yes'].includes((query.get(name) ?? '').toLowerCase()) || query.get(name) === '';
}

export type Shape = 'object' | 'table' | 'metadata';

/** What form of answer the Accept header asks for. @throws {ApiFailure} 406 when it takes no JSON at all */
export function shapeOf(accept: string): Shape {
  if (accept.trim() === '') return 'object';
  for (const option of accept.split(',')) {
    const [type = '', ...parameters] = option.split(';').map((part) => part.trim());
    if (!['application/json', 'application/*', '*/*', 'application/yaml'].includes(type)) continue;
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
    if (as === undefined) return 'object';
    if (as === 'Table' && parameters.includes('v=v1')) return 'table';
    if (as.startsWith('PartialObjectMetadata') && parameters.includes('v=v1')) return 'metadata';
  }
  const message =
    'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf';
  throw new ApiFailure(406, 'NotAcceptable', message);
}
