import { kubectlOptions } from '../config/kubectl-options.ts';
import { controllerOptions, forwarderOptions, type OptionValues } from '../config/options.ts';
import type { Problem } from '../errors.ts';
import type { CommandRow } from './command.ts';

const cluster = ['config', 'kubeconfig', 'context', 'logLevel'] as const;

/** A provider that is misspelt is refused before anything is said to anybody's cluster. */
async function judgeProviderOf(_operands: readonly string[], { provider }: OptionValues): Promise<readonly Problem[]> {
  return provider === undefined ? [] : (await import('../providers/registry.ts')).judgeProvider(provider);
}

/** Every command, in the order of the help. */
export const commands: readonly CommandRow[] = [
  {
    name: 'controller',
    summary: 'gives Services of type LoadBalancer their external addresses, until SIGTERM',
    operands: '',
    least: 0,
    most: 0,
    options: controllerOptions,
    judge: judgeProviderOf,
    notes: [
      'Each option is also a variable (NODEPORT_LB_ and its name in upper snake case) and a camel-case key of the',
      '--config file; the flag beats the variable beats the file.',
    ],
    run: async (call) => (await import('./controller.ts')).runController(call),
  },
  {
    name: 'status',
    summary: 'what each LoadBalancer Service has, or the whole story of one',
    operands: '[NAMESPACE/NAME]',
    least: 0,
    most: 1,
    options: [
      ...cluster,
      'namespace',
      'allNamespaces',
      'namespaces',
      'output',
      'watch',
      'probe',
      'loadBalancerClass',
      'awsRegion',
      'awsVpcId',
      ...kubectlOptions,
    ],
    shown: {
      namespace: { default: "all of them; for a bare NAME the context's" },
      probe: { help: 'asks the provider how the targets of NAMESPACE/NAME fare now (provider aws)' },
    },
    outputs: ['text', 'wide', 'json', 'yaml', 'name'],
    run: async (call) => (await import('./status.ts')).runStatus(call),
  },
  {
    name: 'url',
    summary: 'every way in to a Service, with the curl to paste',
    operands: 'NAMESPACE/NAME',
    least: 1,
    most: 1,
    options: [...cluster, 'namespace', 'output', 'probe', ...kubectlOptions],
    outputs: ['text', 'json'],
    run: async (call) => (await import('./url.ts')).runUrl(call),
  },
  {
    name: 'forward',
    summary: 'the forwarder alone, no cluster: one TCP or UDP port to many targets, or a file of rules',
    operands: 'tcp://ADDRESS:PORT ADDRESS:PORT...',
    least: 0,
    most: 1_001,
    options: ['rules', 'datapath', 'drainSeconds'],
    judge: async (operands, values) => (await import('./forward-plan.ts')).judgeForward(operands, values),
    run: async (call) => (await import('./forward.ts')).runForward(call),
  },
  {
    name: 'plan',
    summary: 'what would be created, changed and deleted, and why; writes nothing',
    operands: '[NAMESPACE/NAME]',
    least: 0,
    most: 1,
    options: [...controllerOptions, 'namespace', 'allNamespaces', 'output', 'file', 'adoptFrom', 'exitCode', ...kubectlOptions],
    judge: judgeProviderOf,
    shown: { namespace: { default: "all of them; for a bare NAME the context's" } },
    outputs: ['text', 'json'],
    notes: [
      'Give it the options (or the --config file) of the controller: it plans what a controller with these would do.',
      'With --exit-code it exits 0 when there is nothing to do, 1 when there is, and 2 when it could not be planned.',
    ],
    run: async (call) => (await import('./plan.ts')).runPlan(call),
  },
  {
    name: 'forwarder',
    summary: 'the agent on a node or an edge machine: takes its rules from the cluster, and forwards, until SIGTERM',
    operands: '',
    least: 0,
    most: 0,
    options: forwarderOptions,
    run: async (call) => (await import('./forwarder.ts')).runForwarder(call),
  },
  {
    name: 'gc',
    summary: 'what is held at the provider that no Service wants any more',
    operands: '',
    least: 0,
    most: 0,
    options: [...controllerOptions, 'namespace', 'output', 'delete', 'release', ...kubectlOptions],
    judge: judgeProviderOf,
    outputs: ['text', 'json'],
    run: async (call) => (await import('./gc.ts')).runGc(call),
  },
  {
    name: 'retire',
    summary: 'takes every balancer down before the controller is removed; the Services stay',
    operands: '',
    least: 0,
    most: 0,
    options: [...controllerOptions, 'undo', ...kubectlOptions],
    notes: [
      'Give it the options (or the --config file) of the controller that runs, which it asks by a note on its Lease. It exits 0 when no',
      'Service has a balancer any more, and 1 when some still have one after ten minutes.',
    ],
    run: async (call) => (await import('./retire.ts')).runRetire(call),
  },
  {
    name: 'demo',
    summary: 'everything on this machine: a cluster in memory, Services, addresses, real requests through them',
    operands: '',
    least: 0,
    most: 0,
    options: ['provider', 'keep'],
    shown: { provider: { metavar: 'local|aws', default: 'local' } },
    run: async (call) => (await import('./demo.ts')).runDemo(call),
  },
];
