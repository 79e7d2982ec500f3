import type { Health } from '../controller/follow.ts';
import type { KubeApi } from '../kube/api.ts';

/** What /healthz and /readyz say: why not, or undefined. */
export interface Vitals {
  /** Whether a restart would help. */
  unhealthy(): Promise<string | undefined>;
  /** Whether work can be expected of it; a replica that stands by is ready, or no rollout would ever end. */
  unready(): string | undefined;
}

/** A watch that is tried again every 5 s and stands nowhere after so long hangs on something of this process. */
const STUCK_MS = 180_000;
/** Less than a kubelet waits. */
const ASK_MS = 2_000;

/**
 * An API server that is away is no reason to be restarted: forwarding goes on, and a new process could do no more. Watches that do not
 * stand though the API server answers are one.
 */
export function takeVitals(api: KubeApi, controller: { watches(): Health; unready(): string | undefined }): Vitals {
  return {
    unready: () => controller.unready(),
    async unhealthy() {
      const { connected, sinceMs } = controller.watches();
      if (connected || sinceMs < STUCK_MS || !(await answers(api))) return undefined;
      return `the watches have been down for ${Math.round(sinceMs / 1000)} s, though the API server answers`;
    },
  };
}

async function answers(api: KubeApi): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ASK_MS);
  });
  const asked = api.list('listNodes', '', { limit: 1 }).then(
    () => true,
    () => false,
  );
  return await Promise.race([asked, late]).finally(() => clearTimeout(timer));
}
