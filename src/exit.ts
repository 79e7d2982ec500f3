import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Ends the process with this code, some 10 ms later: a garbage collection goes first. V8's compiler threads may be waiting for one, which
 * only this thread can make, and Node's exit waits for those threads: then it never ends (https://github.com/nodejs/node/issues/54918). After
 * a collection they have the room to finish.
 */
export function exit(code: number): never {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  process.exit(code);
}
