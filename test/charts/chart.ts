import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { fileKeyOf } from '../../src/config/option-names.ts';
import { controllerOptions, type OptionName } from '../../src/config/options.ts';

export const chart = fileURLToPath(new URL('../../charts/nodeport-lb', import.meta.url));

export function readChartFile(path: string): string {
  return readFileSync(join(chart, path), 'utf8');
}

/** What a JSON Schema says, as far as the chart's does. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly $comment?: string;
}

export const schema = JSON.parse(readChartFile('values.schema.json')) as Schema;
export const values = parse(readChartFile('values.yaml')) as Readonly<Record<string, unknown>>;

/** A pod has one cluster and one file, both by the chart, which also says where the agents are (`forwarder.namespace`). */
const NOT_IN_A_POD: readonly OptionName[] = ['config', 'kubeconfig', 'context', 'localAgentsNamespace'];

/** Options of the controller that are values, with the value's name. */
export const optionValues: readonly (readonly [value: string, option: OptionName])[] = controllerOptions
  .filter((option) => !NOT_IN_A_POD.includes(option))
  .map((option) => [fileKeyOf(option) ?? option, option]);
