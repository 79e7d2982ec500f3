import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Calls } from './calls.ts';
import { AwsFailure, BadParameter } from './failure.ts';
import type { Fault, Faults } from './faults.ts';
import { growTree } from './query.ts';
import { type Service, services } from './services.ts';
import { checkSigned, failureThat } from './words.ts';
import type { World } from './world.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const UNSIGNED = 'AssumeRoleWithWebIdentity';

/** What the server needs to answer. */
export interface Backstage {
  readonly world: World;
  readonly calls: Calls;
  readonly faults: Faults;
  /** Whether the account has a token left for this call. */
  readonly throttle: (service: string, action: string) => boolean;
  /** How long every answer takes at least. */
  readonly latencyMs: number;
}

interface Heard {
  readonly service: Service;
  readonly action: string;
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
  readonly sessionToken: string | undefined;
}

interface Outcome {
  readonly status: number;
  readonly body: string;
  readonly failure: string | undefined;
  readonly cut: boolean;
}

/** Answers the query protocols. Whatever comes, it answers. */
export function answerWith(backstage: Backstage): RequestListener {
  return (request, response) => {
    respond(backstage, request, response).catch(() => response.destroy()); // the caller has gone, or sent too much
  };
}

async function respond(backstage: Backstage, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const requestId = randomUUID();
  const body = await readBody(request);
  const heard = hear(body, request);
  if (heard instanceof AwsFailure) {
    send(response, heard.status, services['2015-12-01']!.refuse(heard, requestId), requestId);
    return;
  }
  const { service, action, form } = heard;
  const atMs = backstage.world.now();
  const outcome = await perform(backstage, heard, body, requestId);
  const { Action: _action, Version: _version, ...parameters } = Object.fromEntries(form);
  backstage.calls.add({ atMs, service: service.name, action, failure: outcome.failure, parameters });
  if (outcome.cut) response.destroy();
  else send(response, outcome.status, outcome.body, requestId);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`a request of more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Which action of which service is meant. */
function hear(body: string, request: IncomingMessage): Heard | AwsFailure {
  const form = new URLSearchParams(request.method === 'POST' ? body : (request.url?.split('?')[1] ?? ''));
  const action = form.get('Action');
  const service = services[form.get('Version') ?? ''];
  if (!action) return new AwsFailure('MissingAction', 'The request must contain the parameter Action');
  if (!service) return new AwsFailure('InvalidAction', `No API of the sandbox has the version ${form.get('Version')}`);
  const token = request.headers['x-amz-security-token'];
  return {
    service,
    action,
    form,
    authorization: request.headers.authorization,
    sessionToken: typeof token === 'string' ? token : undefined,
  };
}

async function perform(backstage: Backstage, heard: Heard, body: string, requestId: string): Promise<Outcome> {
  const fault = backstage.faults.meet(heard.action, body);
  const waitMs = backstage.latencyMs + (fault?.delayMs ?? 0);
  if (waitMs > 0) await pause(waitMs);
  if (fault?.cut === 'before') return { status: 0, body: '', failure: 'cut', cut: true };
  const outcome = act(backstage, heard, fault, requestId);
  return fault?.cut === 'after' ? { ...outcome, failure: 'cut', cut: true } : outcome;
}

function act({ world, throttle }: Backstage, heard: Heard, fault: Fault | undefined, requestId: string): Outcome {
  const { service, action, form } = heard;
  try {
    checkCaller(heard, world);
    if (!throttle(service.name, action)) throw failureThat('throttled', service, action);
    if (fault) refuseBy(fault, heard);
    const known = Object.hasOwn(service.actions, action) ? service.actions[action] : undefined;
    if (!known) throw new AwsFailure('InvalidAction', `The action ${action} is not valid for this web service`);
    form.delete('Action');
    form.delete('Version');
    const result = known.run(world, growTree(form));
    return { status: 200, body: service.answer(action, result, requestId), failure: undefined, cut: false };
  } catch (error) {
    const failure = inOwnWords(service, error);
    return { status: failure.status, body: service.refuse(failure, requestId), failure: failure.code, cut: false };
  }
}

/** Whoever comes with a web token has nothing to sign with yet. */
function checkCaller({ service, action, authorization, sessionToken }: Heard, world: World): void {
  if (action === UNSIGNED) return;
  const accessKeyId = checkSigned(authorization, service, world.region);
  world.sessions.check(accessKeyId, sessionToken, service, action, world.now());
}

function refuseBy({ says, code, message, status }: Fault, { service, action }: Heard): void {
  if (says !== undefined) throw failureThat(says, service, action);
  if (code !== undefined) throw new AwsFailure(code, message ?? `${code}: injected into ${action}`, status);
}

function inOwnWords(service: Service, error: unknown): AwsFailure {
  if (error instanceof AwsFailure) return error;
  if (error instanceof BadParameter) return service.inOwnWords(error);
  return new AwsFailure(
    service.name === 'ec2' ? 'InternalError' : 'InternalFailure',
    `The sandbox has a fault: ${String(error)}`,
  );
}

function send(response: ServerResponse, status: number, xml: string, requestId: string): void {
  response.writeHead(status, { 'content-type': 'text/xml;charset=utf-8', 'x-amzn-requestid': requestId });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
}
