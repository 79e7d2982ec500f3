import type { OptionName, OptionValues } from '../config/options.ts';
import type { Problem } from '../errors.ts';

/** What a command is handed when it runs. */
export interface Call {
  /** Options that were given, by flag, variable or file. */
  readonly values: OptionValues;
  /** The same once more, after the `--config` file has changed; absent: there is no such file. */
  readAgain?(): Promise<{ readonly values: OptionValues; readonly problems: readonly Problem[] }>;
  /** Words behind the command that belong to no flag. */
  readonly operands: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this program. */
  readonly version: string;
  /** Machine output and tables; everything else goes through `tell`. */
  readonly out: Terminal;
  readonly err: Terminal;
  /**
   * From now on the first SIGINT or SIGTERM aborts this signal, and the second one ends the process at once with 130. A
   * command that never asks is ended by the first.
   */
  interrupted(): AbortSignal;
}

/** Where text goes. */
export interface Terminal {
  write(text: string): void;
  /** A person sees it, in cells; undefined in a pipe or a file. */
  readonly columns?: number;
  /** Colours may be used. */
  readonly colour: boolean;
}

/** One command: what it takes, and where its code is. The code is loaded only when the command runs. */
export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  /** Shown in the usage line; empty: none are allowed. */
  readonly operands: string;
  readonly least: number;
  readonly most: number;
  readonly options: readonly OptionName[];
  /** What its help says in place of the table of options, where it takes less than others, goes by another default or means more. */
  readonly shown?: Partial<
    Readonly<Record<OptionName, { readonly metavar?: string; readonly default?: string; readonly help?: string }>>
  >;
  /** Values of `--output` that it knows. */
  readonly outputs?: readonly string[];
  /** More lines of help. */
  readonly notes?: readonly string[];
  /** What else is wrong with the call, to be told together with what is wrong with its options. */
  judge?(operands: readonly string[], values: OptionValues): Promise<readonly Problem[]>;
  /** @returns the exit code */
  run(call: Call): Promise<number>;
}
