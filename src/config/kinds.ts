import { isLabel, readBoolean } from './annotation-values.ts';
import { suggest } from './nearest.ts';

/** Says what is wrong with a value; `value` when only a part of it is wrong, `inside` where that part stands. */
export type Fault = (message: string, part?: { readonly value?: unknown; readonly inside?: string }) => void;

/**
 * A kind of option value. One reader serves flag, variable and file: flags and variables give text (a repeated flag a list of
 * texts), the file gives whatever YAML made of it.
 */
export interface Kind<T> {
  /** In the README's table. */
  readonly type: string;
  /** In usage lines, for instance `HOST:PORT`. */
  readonly metavar: string;
  /** What is allowed, in words. */
  readonly allowed: string;
  /** `list`: repeated flags add up; otherwise the last one counts. `switch`: the flag alone means true. */
  readonly shape: 'one' | 'list' | 'switch';
  /** @returns undefined when something is wrong, which `fault` has been told */
  read(raw: unknown, fault: Fault): T | undefined;
}

const MAX_TEXT = 4096;
const MAX_LIST = 1000;

/** Text that matches; numbers of the file count as their text. */
export function textKind(metavar: string, allowed: string, pattern: RegExp): Kind<string> {
  return {
    type: 'text',
    metavar,
    allowed,
    shape: 'one',
    read(raw, fault) {
      const text = typeof raw === 'number' ? String(raw) : raw;
      if (typeof text === 'string' && text.length <= MAX_TEXT && pattern.test(text)) return text;
      fault(`must be ${allowed}`);
      return undefined;
    },
  };
}

/** Text that is never repeated in a complaint. */
export function secretKind(metavar: string, allowed: string, pattern: RegExp): Kind<string> {
  const kind = textKind(metavar, allowed, pattern);
  return { ...kind, read: (raw, fault) => kind.read(raw, (message) => fault(message, { value: undefined })) };
}

export function choiceKind<const T extends string>(...choices: readonly T[]): Kind<T> {
  const allowed = choices.length === 1 ? choices[0]! : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
  return {
    type: 'choice',
    metavar: choices.join('|'),
    allowed,
    shape: 'one',
    read(raw, fault) {
      const text = typeof raw === 'boolean' ? String(raw) : raw; // YAML reads an unquoted true as a boolean
      const choice = choices.find((one) => one === text);
      if (choice === undefined) fault(`must be ${allowed}${typeof text === 'string' ? suggest(text, choices) : ''}`); // YAML may hold what no String() takes
      return choice;
    },
  };
}

export const booleanKind: Kind<boolean> = {
  type: 'boolean',
  metavar: 'BOOL',
  allowed: 'true or false',
  shape: 'switch',
  read(raw, fault) {
    const value = typeof raw === 'boolean' ? raw : typeof raw === 'string' ? readBoolean(raw) : undefined;
    if (value === undefined) fault('must be true or false');
    return value;
  },
};

/** A flag that stands alone and takes no word behind it (`--watch`, `-A`), so that operands may follow. */
export const switchKind: Kind<boolean> = { ...booleanKind, metavar: '' };

/** Items separated by commas, or a list in the file; each once, in the order given. */
export function listKind(metavar: string, allowed: string, judge: (item: string) => string | undefined): Kind<readonly string[]> {
  return {
    type: 'list',
    metavar,
    allowed,
    shape: 'list',
    read(raw, fault) {
      const items = splitItems(raw);
      if (!items || items.length === 0 || items.length > MAX_LIST) {
        fault(`must be ${allowed}`);
        return undefined;
      }
      let sound = true;
      for (const item of items) {
        const complaint = judge(item);
        if (complaint === undefined) continue;
        sound = false;
        fault(complaint, { value: item });
      }
      return sound ? [...new Set(items)] : undefined;
    },
  };
}

/** @returns undefined when it is neither text nor a list of texts */
export function splitItems(raw: unknown): readonly string[] | undefined {
  const parts = Array.isArray(raw) ? raw : [raw];
  if (!parts.every((part) => typeof part === 'string')) return undefined;
  return parts
    .flatMap((part) => part.split(','))
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** What a module understands: `KEY=VALUE` pairs between commas as flag and variable, anything at all as a map of the file. */
export const mapKind: Kind<Readonly<Record<string, unknown>>> = {
  type: 'map',
  metavar: 'KEY=VALUE,…',
  allowed: 'KEY=VALUE pairs, separated by commas; in the file a map',
  shape: 'list',
  read(raw, fault) {
    if (typeof raw === 'object' && raw !== null && !Array.isArray(raw)) return raw as Readonly<Record<string, unknown>>;
    const pairs = splitItems(raw)?.map((item) => /^([^=\s]+)=(.*)$/.exec(item));
    if (pairs?.every((pair) => pair !== null)) return Object.fromEntries(pairs.map(([, key, value]) => [key, value]));
    fault(`must be ${mapKind.allowed}`);
    return undefined;
  },
};

/** Where to listen: `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every address, or `off`. */
export const hostPortKind: Kind<HostPort | 'off'> = {
  type: 'address',
  metavar: 'HOST:PORT|off',
  allowed: 'HOST:PORT with a port from 0 to 65535 (0: any free one), [IPv6]:PORT, :PORT for all addresses, or off',
  shape: 'one',
  read(raw, fault) {
    if (raw === 'off' || raw === false) return 'off'; // Helm makes false of an unquoted off
    const match = typeof raw === 'string' ? /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*):(\d{1,5})$/.exec(raw) : null;
    const port = Number(match?.[2]);
    if (!match || port > 65_535) {
      fault(`must be ${hostPortKind.allowed}`);
      return undefined;
    }
    return { host: match[1]!.replace(/^\[(.*)\]$/, '$1'), port };
  },
};

/** Labels of the file: a map of texts. */
export function readLabelMap(raw: unknown, fault: Fault): Readonly<Record<string, string>> | undefined {
  const entries = typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? Object.entries(raw) : undefined;
  if (!entries?.every(([key, value]) => typeof value === 'string' && isLabel(key, value))) {
    fault('must be a map of labels, KEY: VALUE');
    return undefined;
  }
  return Object.fromEntries(entries) as Record<string, string>;
}
