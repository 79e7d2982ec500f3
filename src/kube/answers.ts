import { explain } from '../errors.ts';
import { type CallName, everyCall, KubeError } from './api.ts';
import { NoCredentials } from './credentials.ts';
import { at, list, text } from './objects.ts';
import { type Answer, NoAnswer } from './transport.ts';

/** Maps whatever came back, or did not, to a KubeError that says what was tried, where, why not, and what to do. */

/** What was being done, for the message. */
export interface Attempt {
  readonly call: CallName;
  readonly namespace: string;
  readonly name: string;
  readonly where: { readonly context: string; readonly server: string };
}

/** As metav1.StatusReason has it, for answers that are no metav1.Status. */
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** Pure. `patch services/status study/tomcat`. */
export function describeAttempt({ call, namespace, name }: Pick<Attempt, 'call' | 'namespace' | 'name'>): string {
  const object = [namespace, name].filter((part) => part !== '').join('/');
  return `${everyCall[call].verb} ${resourceOf(call)}${object === '' ? '' : ` ${object}`}`;
}

function resourceOf(call: CallName): string {
  const api = everyCall[call];
  return 'subresource' in api ? `${api.resource}/${api.subresource}` : api.resource;
}

/** Pure. An answer with a status of 300 or more. */
export function errorOfAnswer(answer: Answer, attempt: Attempt): KubeError {
  const status = parseStatus(answer.body);
  return errorOfStatus(
    answer.status,
    status ?? { message: sayForeign(answer, attempt) },
    attempt,
    retryAfterMs(answer.headers['retry-after']),
  );
}

/** An answer without a Status is of something in between, or the server is none of Kubernetes. */
function sayForeign({ status, body }: Answer, { where }: Attempt): string {
  if (status === 401 || status === 403) return excerpt(body); // what is said of these names the server, or what is lacking
  const said = [`HTTP ${status} of ${where.server}`, excerpt(body)].filter((part) => part !== '').join(': ');
  return status === 404 ? `${said} (is that the API server of a cluster?)` : said;
}

/** Pure. The object of a watch's ERROR event. */
export function errorOfEvent(status: unknown, attempt: Attempt): KubeError {
  const code = at(status, 'code');
  return errorOfStatus(typeof code === 'number' ? code : 500, status, attempt, undefined);
}

function errorOfStatus(code: number, status: unknown, attempt: Attempt, retryMs: number | undefined): KubeError {
  const reason = endingNamespace(status) ?? (text(at(status, 'reason')) || REASONS[code] || 'Unknown');
  const said = text(at(status, 'message')) || `HTTP ${code}`;
  const options = retryMs === undefined ? {} : { retryAfterMs: retryMs };
  return new KubeError(code, reason, adviseOn(code, reason, said, attempt), options);
}

/** Forbidden because the namespace is being deleted is no lack of rights; the status says so among its causes. */
function endingNamespace(status: unknown): string | undefined {
  const causes = list(at(at(status, 'details'), 'causes'));
  return causes.some((cause) => at(cause, 'reason') === 'NamespaceTerminating') ? 'NamespaceTerminating' : undefined;
}

function adviseOn(code: number, reason: string, said: string, attempt: Attempt): string {
  const what = describeAttempt(attempt);
  const { context, server } = attempt.where;
  if (code === 401) {
    return `${what}: the API server ${server} does not accept the credentials of context ${context} (401 ${said}); log in again, or choose another --context`;
  }
  if (reason === 'Forbidden') return `${what}: ${said}; ${ruleFor(attempt)}`;
  return `${what}: ${said}`;
}

function ruleFor({ call, namespace }: Attempt): string {
  const { verb, group } = everyCall[call];
  const scope = namespace === '' ? 'a ClusterRole' : `a Role in ${namespace} or a ClusterRole`;
  return `grant it in ${scope} with the rule {apiGroups: ["${group}"], resources: ["${resourceOf(call)}"], verbs: ["${verb}"]}`;
}

/** What node:net, node:tls and undici say, by code, in words for people. */
const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the API server running, and is this its port?',
  ENOTFOUND: 'the host name is unknown; is the server URL right, and the network there?',
  EAI_AGAIN: 'the host name could not be looked up just now',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'connecting took too long; is a firewall or VPN in between?',
  UND_ERR_SOCKET: 'the connection was closed',
  CERT_HAS_EXPIRED: 'the certificate of the server has expired',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'the certificate of the server is for another name; is the server URL right, or is tls-server-name needed?',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'the certificate of the server is signed by itself; give its CA as certificate-authority in the kubeconfig',
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate of the server is not signed by the kubeconfig's certificate-authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the certificate of the server is not signed by the kubeconfig's certificate-authority",
  UNABLE_TO_GET_ISSUER_CERT: "the certificate of the server is not signed by the kubeconfig's certificate-authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the certificate of the server is not signed by the kubeconfig's certificate-authority",
  CERT_SIGNATURE_FAILURE: "the certificate of the server is not signed by the kubeconfig's certificate-authority",
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not speak TLS; is it http:// instead of https://?',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the server does not speak TLS; is it http:// instead of https://?',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the server demands a client certificate, and the kubeconfig gives none',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'the server does not accept the client certificate of the kubeconfig',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the server does not know who signed the client certificate of the kubeconfig',
};

/** Pure. Whatever was thrown instead of an answer. */
export function errorOfFailure(thrown: unknown, attempt: Attempt): KubeError {
  if (thrown instanceof KubeError) return thrown;
  const { context, server } = attempt.where;
  if (thrown instanceof NoCredentials) {
    const advice = `the credentials of context ${context} are not accepted and could not be renewed`;
    return new KubeError(401, 'Unauthorized', `${describeAttempt(attempt)}: ${advice}: ${thrown.message.trim()}`, {
      cause: thrown.cause,
    });
  }
  if (!(thrown instanceof NoAnswer)) {
    return new KubeError(0, 'Unknown', `${describeAttempt(attempt)}: ${explain(thrown)}`, { cause: thrown });
  }
  const cause = thrown.cause ?? thrown;
  const why = CAUSES[text(at(cause, 'code'))] ?? explain(cause);
  const reason = thrown.timedOut ? 'Timeout' : 'Unreachable';
  const message = `${describeAttempt(attempt)}: no answer from ${server} (context ${context}): ${why}`;
  return new KubeError(0, reason, message, { cause });
}

/** Pure. Seconds or a date, as HTTP has it. @returns milliseconds from now, not negative; undefined when absent or garbage */
export function retryAfterMs(header: string | readonly string[] | undefined, now: number = Date.now()): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function parseStatus(body: string): unknown {
  try {
    const parsed: unknown = JSON.parse(body);
    return at(parsed, 'kind') === 'Status' ? parsed : undefined;
  } catch {
    return undefined; // a proxy's page of HTML: the caller shows an excerpt
  }
}

function excerpt(body: string): string {
  const line = body.replace(/\s+/g, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
