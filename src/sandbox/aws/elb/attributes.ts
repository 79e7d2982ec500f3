import { AwsFailure } from '../failure.ts';
import { list, record, text } from '../shapes.ts';
import type { XmlObject } from '../xml.ts';

/** One attribute that a resource has: its value when nobody has said, and which others are allowed. */
export interface AttributeRule {
  readonly initial: string;
  readonly allowed: RegExp | ((value: string) => boolean);
}

export type AttributeRules = Readonly<Record<string, AttributeRule>>;

export const attributesShape = list(record({ Key: text, Value: text }, ['Key']));
export type AskedAttributes = readonly { readonly Key: string; readonly Value?: string | undefined }[];

export const trueOrFalse = /^(true|false)$/;

export function numberBetween(min: number, max: number): (value: string) => boolean {
  return (value) => /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max;
}

/** `off`, or a number. */
export function offOr(min: number, max: number): (value: string) => boolean {
  return (value) => value === 'off' || numberBetween(min, max)(value);
}

export function initialValues(rules: AttributeRules): Map<string, string> {
  return new Map(Object.entries(rules).map(([key, { initial }]) => [key, initial]));
}

/** Which resource it is, for what AWS says. */
interface Kind {
  /** `Load balancer` */
  readonly called: string;
  /** `on load balancers with type 'network'` */
  readonly where: string;
  /** Keys that exist, and that resources of this kind do not have. */
  readonly foreign: RegExp;
}

/** @throws {AwsFailure} ValidationError for an unknown key or a value out of its range; InvalidConfigurationRequest for another kind's key */
export function checkAttributes(rules: AttributeRules, asked: AskedAttributes, { called, where, foreign }: Kind): void {
  const keys = asked.map(({ Key }) => Key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new AwsFailure('ValidationError', `Attribute key '${twice}' is given twice`);
  for (const { Key, Value = '' } of asked) {
    if (!Object.hasOwn(rules, Key)) {
      if (foreign.test(Key))
        throw new AwsFailure('InvalidConfigurationRequest', `${called} attribute key '${Key}' is not supported ${where}`);
      throw new AwsFailure('ValidationError', `${called} attribute key '${Key}' is not recognized`);
    }
    const { allowed } = rules[Key]!;
    if (!(typeof allowed === 'function' ? allowed(Value) : allowed.test(Value))) {
      throw new AwsFailure('ValidationError', `${called} attribute value '${Value}' of key '${Key}' is not valid`);
    }
  }
}

export function attributesXml(values: ReadonlyMap<string, string>): XmlObject {
  return { Attributes: [...values].map(([Key, Value]) => ({ Key, Value })) };
}
