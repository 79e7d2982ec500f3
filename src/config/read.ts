import type { Problem } from '../errors.ts';
import type { Config } from './config.ts';
import type { Fault, Kind } from './kinds.ts';
import { nearestName } from './nearest.ts';
import { fileKeyOf, flagOf, VARIABLE_PREFIX, variableOf } from './option-names.ts';
import { type OptionName, type OptionValues, OUR_CLASS, options } from './options.ts';

/** Everything that was given, still as it came. */
export interface Sources {
  /** By option name: what followed the flag, in order; `true` where nothing did. */
  readonly flags: Readonly<Record<string, readonly (string | true)[]>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Parsed YAML, and the file's name for complaints. */
  readonly file?: { readonly name: string; readonly content: unknown };
}

const optionNames = Object.keys(options) as OptionName[];

/**
 * Reads the options that a command takes: flag beats variable beats file. Pure. A value that loses is judged all the same, so
 * that nothing is wrong unnoticed.
 * @param names options of the command; names of variables and of the file's keys are judged against the whole table
 */
export function readOptions(
  names: readonly OptionName[],
  sources: Sources,
): { readonly values: OptionValues; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const content = readFileContent(sources.file, problems);
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const kind: Kind<unknown> = options[name].kind;
    const fromFlag = readFlag(kind, name, sources.flags[name] ?? [], problems);
    const fromVariable = readVariable(kind, name, sources.env, problems);
    const fromFile = readKey(kind, name, content, sources.file?.name ?? '', problems);
    const value = fromFlag ?? fromVariable ?? fromFile;
    if (value !== undefined) values[name] = value;
  }
  problems.push(...judgeVariables(sources.env), ...judgeKeys(content, sources.file?.name ?? ''));
  return { values, problems };
}

function tell(problems: Problem[], where: string, raw: unknown): Fault {
  return (message, part) => {
    const value = part && 'value' in part ? part.value : raw;
    problems.push({
      where: `${where}${part?.inside ?? ''}`,
      ...(value === undefined ? {} : { value: showValue(value) }),
      message,
    });
  };
}

function showValue(value: unknown): string {
  const text = typeof value === 'string' ? value : jsonOf(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** YAML can make a list that contains itself. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'a value that contains itself';
  }
}

function readFlag(kind: Kind<unknown>, name: OptionName, given: readonly (string | true)[], problems: Problem[]): unknown {
  if (given.length === 0) return undefined;
  const last = given.at(-1)!;
  if (kind.shape !== 'switch' && given.includes(true)) {
    problems.push({ where: flagOf(name), message: `needs a value: ${kind.allowed}` });
    return undefined;
  }
  const raw = kind.shape === 'list' ? given : last;
  return kind.read(raw, tell(problems, flagOf(name), kind.shape === 'list' ? given.join(' ') : last));
}

/** An empty variable counts as not set: that is what an unset value looks like in most charts and unit files. */
function readVariable(kind: Kind<unknown>, name: OptionName, env: Sources['env'], problems: Problem[]): unknown {
  const raw = env[variableOf(name)];
  return raw === undefined || raw === '' ? undefined : kind.read(raw, tell(problems, variableOf(name), raw));
}

function readKey(kind: Kind<unknown>, name: OptionName, content: Content, file: string, problems: Problem[]): unknown {
  const key = fileKeyOf(name);
  const raw = key === undefined ? undefined : content.get(key);
  return raw === undefined || raw === null ? undefined : kind.read(raw, tell(problems, `${file}: ${key}`, raw));
}

type Content = ReadonlyMap<string, unknown>;

function readFileContent(file: Sources['file'], problems: Problem[]): Content {
  const content = file?.content;
  if (content === undefined || content === null) return new Map();
  if (typeof content === 'object' && !Array.isArray(content)) return new Map(Object.entries(content));
  problems.push({ where: file!.name, message: 'must be a map of options, such as `provider: local`' });
  return new Map();
}

function judgeKeys(content: Content, file: string): Problem[] {
  const known = optionNames.flatMap((name) => fileKeyOf(name) ?? []);
  return [...content.keys()]
    .filter((key) => !known.includes(key))
    .map((key) => ({ where: `${file}: ${showValue(key)}`, message: `is not an option${didYouMean(key, known)}` }));
}

/**
 * Kubernetes gives pods variables for each Service of their namespace, and a Service named `nodeport-lb…` has our prefix.
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const SERVICE_VARIABLE = /(^|_)(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

function judgeVariables(env: Sources['env']): Problem[] {
  const known = optionNames.map(variableOf);
  return Object.keys(env)
    .filter((name) => name.startsWith(VARIABLE_PREFIX) && !known.includes(name))
    .filter((name) => !SERVICE_VARIABLE.test(name.slice(VARIABLE_PREFIX.length)))
    .map((name) => ({ where: name, message: `is not a variable of ours${didYouMean(name, known, VARIABLE_PREFIX)}` }));
}

/** Complains about a flag that a command does not take, or does not take so. */
export function judgeFlag(word: string, names: readonly OptionName[]): Problem {
  const [flag = '', value] = word.split('=', 2);
  if (names.some((name) => flagOf(name) === flag)) {
    return { where: flag, ...(value === undefined ? {} : { value }), message: 'must be true or false' };
  }
  const elsewhere = optionNames.some((name) => flagOf(name) === flag);
  const message = elsewhere ? 'is not a flag of this command' : `is not a flag${didYouMean(flag, names.map(flagOf), '--')}`;
  return { where: flag, message };
}

function didYouMean(name: string, known: readonly string[], prefix = ''): string {
  const bare = (text: string) => (text.startsWith(prefix) ? text.slice(prefix.length) : text);
  const nearest = nearestName(bare(name), known.map(bare));
  return nearest === undefined ? '' : `; did you mean ${prefix}${nearest}?`;
}

/**
 * The controller's configuration. What depends on whether it runs in a cluster (the Lease, the forwarder, the pools) stays
 * undefined or empty: whoever uses it decides.
 */
export function toConfig(values: OptionValues): Config {
  const { kubeconfig, context, leaderElect, leaderElectNamespace, http, localForwarder, awsRegion, awsVpcId, awsApiThrottle } =
    values;
  return {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    provider: values.provider ?? 'none',
    providerOptions: values.providerOptions ?? {},
    clusterName: values.clusterName ?? 'kubernetes',
    loadBalancerClass: values.loadBalancerClass ?? OUR_CLASS,
    claimUnsetClass: values.claimUnsetClass ?? 'auto',
    namespaces: values.namespaces ?? [],
    ...(leaderElect === undefined ? {} : { leaderElect }),
    ...(leaderElectNamespace === undefined ? {} : { leaderElectNamespace }),
    ...(values.leaderElectName === undefined ? {} : { leaderElectName: values.leaderElectName }),
    ...(values.leaderElectLeaseDuration === undefined
      ? {}
      : { leaderElectLeaseMs: Number.parseInt(values.leaderElectLeaseDuration, 10) * 1_000 }),
    nodeAddressTypes: values.nodeAddressTypes ?? ['InternalIP', 'ExternalIP'],
    ...(http === undefined || http === 'off' ? {} : { http }),
    dryRun: values.dryRun ?? false,
    shareAcrossNamespaces: values.shareAcrossNamespaces ?? false,
    logLevel: values.logLevel ?? 'info',
    local: {
      pools: values.localPool ?? [],
      datapath: values.localDatapath ?? 'auto',
      ...(localForwarder === undefined ? {} : { forwarder: localForwarder }),
      ...(values.localAgentsNamespace === undefined ? {} : { agentsNamespace: values.localAgentsNamespace }),
      portFallback: values.localPortFallback ?? false,
    },
    aws: {
      ...(awsRegion === undefined ? {} : { region: awsRegion }),
      ...(awsVpcId === undefined ? {} : { vpcId: awsVpcId }),
      defaultScheme: values.awsDefaultScheme ?? 'internet-facing',
      ...(awsApiThrottle === undefined ? {} : { apiThrottle: awsApiThrottle }),
    },
  };
}

/** What the provider is opened with: the built-in ones have a part of the configuration of their own, a module has what it was given. */
export function optionsForProvider(config: Config): Readonly<Record<string, unknown>> {
  if (config.provider === 'local') return { ...config.local };
  if (config.provider === 'aws') return { ...config.aws };
  return config.providerOptions ?? {};
}
