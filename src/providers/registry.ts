import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { nearestName } from '../config/nearest.ts';
import { type Code, cures, explain, type Problem, Refusal, UsageError } from '../errors.ts';
import type { Provider, ProviderContext } from './provider.ts';

/** The providers that come with the program. Each is loaded only when it is chosen: an SDK costs memory. */
const BUILT_IN = ['none', 'local', 'aws'] as const;

type BuiltIn = (typeof BUILT_IN)[number];

/** What a third party's module exports. */
type Create = (context: ProviderContext) => Provider | Promise<Provider>;

/** Every method of the seam; what is missing is named. */
const METHODS = [
  'open',
  'close',
  'keys',
  'adjust',
  'observe',
  'plan',
  'apply',
  'report',
] as const satisfies readonly (keyof Provider)[];

/** A name is recorded on each Service whose balancer the provider holds. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/;

/**
 * The provider of `--provider`: `none`, `local`, `aws`, a path (`./provider.js`, `/opt/lb/provider.js`), or the name of a package
 * that is installed where the program runs. A module exports `createProvider(context)`.
 * @throws {UsageError} when there is no such provider, or when the module does not offer what the seam asks for
 */
export async function createProvider(name: string, context: ProviderContext): Promise<Provider> {
  if (isBuiltIn(name)) return createBuiltIn(name, context);
  const create = readCreate(name, await load(name));
  let provider: unknown;
  try {
    provider = await create(context);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw refuse(name, `createProvider of this module failed: ${explain(cause)}`, cause);
  }
  return readProvider(name, provider);
}

/** What is wrong with the name of a provider, before one is made: a module is loaded for that. */
export async function judgeProvider(name: string): Promise<readonly Problem[]> {
  if (isBuiltIn(name)) return [];
  try {
    readCreate(name, await load(name));
    return [];
  } catch (thrown) {
    if (thrown instanceof UsageError) return thrown.problems;
    throw thrown;
  }
}

async function createBuiltIn(name: BuiltIn, context: ProviderContext): Promise<Provider> {
  switch (name) {
    case 'none':
      return (await import('./none.ts')).createProvider(context);
    case 'local':
      return (await import('./local/provider.ts')).createProvider(context);
    case 'aws':
      return (await import('./aws/provider.ts')).createProvider(context);
  }
}

function isBuiltIn(name: string): name is BuiltIn {
  return (BUILT_IN as readonly string[]).includes(name);
}

async function load(name: string): Promise<unknown> {
  if (name.trim() === '') throw refuse(name, 'Name a provider: none, local, aws, a path such as ./provider.js, or a package.');
  try {
    return await import(locate(name));
  } catch (cause) {
    const meant = /[/\\@]/.test(name) ? undefined : nearestName(name, BUILT_IN);
    if (meant !== undefined) throw refuse(name, `There is no such provider; did you mean ${meant}?`, cause);
    const known = 'It is none of none, local and aws, so it is loaded as a module, and that failed';
    throw refuse(
      name,
      `${known}: ${explain(cause)}. A path begins with ./ or /; a package must be installed where you run this.`,
      cause,
    );
  }
}

/** A path is resolved from the working directory; a package too, else beside this program. */
function locate(name: string): string {
  if (/^(\.{0,2}[/\\]|[A-Za-z]:[/\\])/.test(name)) return pathToFileURL(resolve(name)).href;
  if (name.startsWith('file:')) return name;
  try {
    return pathToFileURL(createRequire(resolve('noop.js')).resolve(name)).href;
  } catch {
    return name; // not installed there, or without an entry for require(): import() looks beside this program and says what is wrong
  }
}

function readCreate(name: string, module: unknown): Create {
  const exports = module as { readonly createProvider?: unknown; readonly default?: { readonly createProvider?: unknown } };
  const create = exports.createProvider ?? exports.default?.createProvider; // the second: CommonJS
  if (typeof create === 'function') return create as Create;
  throw refuse(name, 'The module does not export a function createProvider(context).');
}

function readProvider(name: string, provider: unknown): Provider {
  if (typeof provider !== 'object' || provider === null) throw refuse(name, 'createProvider of this module gave no provider.');
  const offered = provider as Record<string, unknown>;
  const missing = METHODS.filter((method) => typeof offered[method] !== 'function');
  if (missing.length > 0)
    throw refuse(name, `The provider lacks ${missing.length === 1 ? 'the method' : 'the methods'} ${missing.join(', ')}.`);
  const own = offered['name'];
  if (typeof own !== 'string' || !NAME.test(own) || isBuiltIn(own)) {
    throw refuse(
      name,
      `The provider's name is ${JSON.stringify(own)}; it must be lower-case letters, digits, - and . (1 to 63), and not ${BUILT_IN.join(', ')}.`,
    );
  }
  return acceptRefusals(provider as Provider);
}

/**
 * A third party's module need not import anything of ours: an error that is called `Refusal` and has a code of the table (and
 * perhaps a `subject`) counts as one.
 */
function acceptRefusals(provider: Provider): Provider {
  return {
    name: provider.name,
    ...(provider.ephemeral === true ? { ephemeral: true } : {}),
    ...(provider.followsEndpoints === true ? { followsEndpoints: true } : {}),
    ...(typeof provider.connections === 'function' ? { connections: () => provider.connections!() } : {}),
    ...(typeof provider.lead === 'function'
      ? { lead: (start: Parameters<typeof provider.lead>[0]) => provider.lead!(start) }
      : {}),
    ...(typeof provider.reload === 'function'
      ? { reload: (options: Parameters<typeof provider.reload>[0]) => provider.reload!(options) }
      : {}),
    open: (start) => provider.open(start),
    close: (drainMs) => provider.close(drainMs),
    keys: () => provider.keys(),
    adjust: (balancer, surroundings) => {
      try {
        return provider.adjust(balancer, surroundings);
      } catch (thrown) {
        throw toRefusal(thrown) ?? thrown;
      }
    },
    observe: (key, wanted) => provider.observe(key, wanted),
    plan: (wanted, observed, now, leaving) => provider.plan(wanted, observed, now, leaving),
    apply: async (step) => {
      try {
        await provider.apply(step);
      } catch (thrown) {
        throw toRefusal(thrown) ?? thrown;
      }
    },
    report: (observed) => provider.report(observed),
  };
}

function toRefusal(thrown: unknown): Refusal | undefined {
  if (!(thrown instanceof Error) || thrown instanceof Refusal || thrown.name !== 'Refusal') return undefined;
  const { code, subject } = thrown as Error & { readonly code?: unknown; readonly subject?: unknown };
  if (typeof code !== 'string' || !Object.hasOwn(cures, code)) return undefined;
  return new Refusal(code as Code, typeof subject === 'string' ? subject : thrown.message, { cause: thrown });
}

function refuse(value: string, message: string, cause?: unknown): UsageError {
  return new UsageError([{ where: '--provider', value, message }], { cause });
}
