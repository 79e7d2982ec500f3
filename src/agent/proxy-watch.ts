import { get } from 'node:http';

/** Why this node's kube-proxy is not to be left with what comes for a balancer's address. */
export interface ProxyFault {
  readonly code: 'KubeProxyUnfit';
  readonly message: string;
}

/** What kube-proxy has answered; undefined: nothing. */
export interface ProxyAnswers {
  /** Of its health check: the status, 200 when its rules are those of the cluster. */
  readonly health: number | undefined;
  /** The body of `/proxyMode`. */
  readonly mode: string | undefined;
}

/**
 * Where kube-proxy answers on its node unless told otherwise.
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/
 */
const PORTS = { health: 10_256, metrics: 10_249 } as const;
const EVERY_MS = 5_000;
const TIMEOUT_MS = 1_000;
/** In a row, so that a kube-proxy that is upgraded or started anew, which its rules outlive, moves nothing. */
const FALL = 3;

/** Judges one kube-proxy by its answers over time. No clock and no network of its own. */
export class ProxyJudge {
  #hasAnswered = false;
  #misses = 0;

  see({ health, mode }: ProxyAnswers): ProxyFault | undefined {
    this.#hasAnswered ||= health !== undefined;
    this.#misses = health === 200 ? 0 : this.#misses + 1;
    if (mode?.trim() === 'ipvs') {
      const what = 'it puts every address that is published as VIP on every node, all of which then answer for it';
      return unfit(`kube-proxy of this node is in mode ipvs: ${what}`);
    }
    // One that was never heard may be another program with the same duty, which answers elsewhere.
    if (!this.#hasAnswered || this.#misses < FALL) return undefined;
    const how = health === undefined ? 'does not answer any more' : `answers ${health} to its health check`;
    return unfit(`kube-proxy of this node ${how}`);
  }
}

export interface ProxyWatchOptions {
  /** The fault, or its end. */
  changed(fault: ProxyFault | undefined): void;
  readonly ports?: { readonly health: number; readonly metrics: number };
  /** Default: 5 s. */
  readonly everyMs?: number;
}

/** Looks after this machine's kube-proxy. Resolves with how to stop after the first look, which takes at most 1 s. */
export async function watchKubeProxy({ changed, ports = PORTS, everyMs = EVERY_MS }: ProxyWatchOptions): Promise<() => void> {
  const judge = new ProxyJudge();
  let told: string | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    const [health, mode] = await Promise.all([ask(ports.health, '/healthz'), ask(ports.metrics, '/proxyMode')]);
    const fault = judge.see({ health: health?.status, mode: mode?.status === 200 ? mode.body : undefined });
    if (stopped || fault?.message === told) return;
    told = fault?.message;
    changed(fault);
  };
  await look();
  const timer = setInterval(() => void look(), everyMs);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/** @returns undefined when there is no answer within 1 s */
function ask(port: number, path: string): Promise<{ readonly status: number; readonly body: string } | undefined> {
  return new Promise((resolve) => {
    const none = () => resolve(undefined);
    const options = { host: '127.0.0.1', port, path, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) } as const;
    get(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        if (body.length < MOST_CHARACTERS) body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', none);
    }).on('error', none);
  });
}

/** More than either answer has. */
const MOST_CHARACTERS = 1_024;

function unfit(message: string): ProxyFault {
  return { code: 'KubeProxyUnfit', message };
}
