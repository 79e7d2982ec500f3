import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Starts the sandbox's API in a process of its own, which ends with this one. @returns its URL */
export async function startSandboxApi(): Promise<string> {
  const kube = join(import.meta.dirname, '../../src/sandbox/kube/kube.ts');
  const program = `const { startKube } = await import(${JSON.stringify(kube)});
    console.log((await startKube({})).url);
    process.stdin.on('end', () => process.exit(0)).resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the sandbox ended with ${code}`)));
  });
}
