import { Command, type Help, Option } from 'commander';
import { switchKind } from '../config/kinds.ts';
import { kubectlTable } from '../config/kubectl-options.ts';
import { flagOf } from '../config/option-names.ts';
import { controllerOptions, type OptionName, type Option as OptionRow, options } from '../config/options.ts';
import { judgeFlag, type Sources } from '../config/read.ts';
import type { Problem } from '../errors.ts';
import type { CommandRow } from './command.ts';
import { wrapText } from './table.ts';

/** A command line that has been taken apart; nothing in it has been judged but the names of flags and the number of words. */
export interface Parsed {
  readonly command: CommandRow;
  readonly flags: Sources['flags'];
  readonly operands: readonly string[];
  readonly problems: readonly Problem[];
}

/** Help or version was asked for (exit 0), or there was no command to speak of (exit 2). */
export interface Shown {
  readonly exitCode: 0 | 2;
  readonly text: string;
}

/**
 * Takes the command line apart.
 * @param argv without the interpreter and the program
 * @param columns width that help is wrapped to
 */
export function parseCommandLine(argv: readonly string[], rows: readonly CommandRow[], about: About): Parsed | Shown {
  let parsed: Parsed | undefined;
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  const program = describeProgram(rows, about, write, (row, command) => {
    parsed = readParsed(row, command);
  });
  try {
    program.parse(spellSwitches(argv), { from: 'user' });
  } catch (thrown) {
    if (parsed || !isCommanderExit(thrown)) throw thrown;
    return { exitCode: thrown.exitCode === 0 ? 0 : 2, text };
  }
  return parsed ?? { exitCode: 2, text };
}

export interface About {
  /** What a person calls the program by: `nodeport-lb`, or `kubectl nodeport-lb`. */
  readonly name: string;
  readonly version: string;
  readonly columns: number;
}

function describeProgram(
  rows: readonly CommandRow[],
  about: About,
  write: (text: string) => void,
  chosen: (row: CommandRow, command: Command) => void,
): Command {
  const program = new Command(about.name)
    .description("Kubernetes LoadBalancer Services whose targets are every node's NodePort")
    .version(about.version, '-V, --version', 'shows the version')
    .helpOption('-h, --help', 'shows help')
    .helpCommand('help [COMMAND]', 'shows help of a command')
    .exitOverride()
    .configureOutput({
      writeOut: write,
      writeErr: write,
      getOutHelpWidth: () => about.columns,
      getErrHelpWidth: () => about.columns,
    })
    .configureHelp({
      optionTerm: showOptionTerm,
      optionDescription: (option) => option.description,
      subcommandTerm: (command) => command.name(),
      padWidth: (command, helper) => Math.min(TERM_WIDTH, Math.max(...termsOf(command, helper).map((term) => term.length))),
      formatItem: (term, termWidth, description, helper) => showItem(term, termWidth, description, helper.helpWidth ?? 80),
    })
    .showSuggestionAfterError();
  for (const row of rows) {
    const command = program
      .command(row.name)
      .summary(row.summary)
      .description(row.summary)
      .usage(`[OPTIONS]${row.operands === '' ? '' : ` ${row.operands}`}`)
      .allowUnknownOption()
      .allowExcessArguments()
      .action((_options, self: Command) => chosen(row, self));
    if (row.notes) command.addHelpText('after', `\n${wrapText(row.notes.join(' '), about.columns, '').trimEnd()}`);
    for (const name of sortOptions(row)) command.addOption(describeOption(name, row));
  }
  return program;
}

const ofController: ReadonlySet<OptionName> = new Set(controllerOptions);

/** A command that takes all that the controller takes has its own options first, so that they are not lost among those. */
function takesTheControllers({ options: own }: CommandRow): boolean {
  return own.length > controllerOptions.length && controllerOptions.every((name) => own.includes(name));
}

function sortOptions(row: CommandRow): readonly OptionName[] {
  if (!takesTheControllers(row)) return row.options;
  const isOwn = (name: OptionName) => !ofController.has(name) && !(name in kubectlTable);
  return [...row.options.filter(isOwn), ...row.options.filter((name) => !isOwn(name))];
}

function groupOf(name: OptionName, row: CommandRow): string {
  if (name in kubectlTable) return "kubectl's own:";
  return takesTheControllers(row) && ofController.has(name) ? "The controller's options:" : 'Options:';
}

/** Values are optional to commander, so that a missing one is told together with everything else. */
function describeOption(name: OptionName, row: CommandRow): Option {
  const { kind, short, default: usual, help: told }: OptionRow<unknown> = options[name];
  const { metavar: own = kind.metavar, default: standard = usual, help = told } = row.shown?.[name] ?? {};
  const alone = kind.metavar === '';
  const metavar = name === 'output' ? (row.outputs ?? []).join('|') : own;
  const flags = `${short ? `-${short}, ` : ''}${flagOf(name)}${alone ? '' : ` [${metavar}]`}`;
  const shownDefault = alone || standard === '' ? '' : ` (default: ${standard})`;
  return new Option(flags, `${help}${shownDefault}`)
    .preset(true)
    .helpGroup(groupOf(name, row))
    .argParser((value: string | true, before: readonly (string | true)[] | undefined) => [...(before ?? []), value]);
}

/** A term that is longer has its description on the next lines, lest one long option narrows everything. */
const TERM_WIDTH = 26;

function termsOf(command: Command, helper: Help): readonly string[] {
  return [
    ...helper.visibleOptions(command).map((option) => helper.optionTerm(option)),
    ...helper.visibleCommands(command).map((sub) => helper.subcommandTerm(sub)),
  ];
}

function showItem(term: string, termWidth: number, description: string, width: number): string {
  const indent = ' '.repeat(termWidth + 4);
  const lines = wrapText(description, width, indent).trimEnd();
  return term.length > termWidth ? `  ${term}\n${lines}` : `  ${term.padEnd(termWidth)}  ${lines.trimStart()}`;
}

function showOptionTerm(option: Option): string {
  return option.flags.replace(/\[(.*)\]$/, (_, metavar: string) => (metavar === 'BOOL' ? '[BOOL]' : metavar));
}

function readParsed(row: CommandRow, command: Command): Parsed {
  const problems: Problem[] = [];
  const operands: string[] = [];
  let afterUnknown = false;
  for (const word of command.args) {
    if (word.startsWith('-') && word !== '-') {
      problems.push(judgeFlag(word, row.options));
      afterUnknown = !word.includes('=');
    } else {
      if (!afterUnknown) operands.push(word); // what follows an unknown flag is most likely its value
      afterUnknown = false;
    }
  }
  for (const extra of operands.slice(row.most)) problems.push({ where: 'argument', value: extra, message: 'is one too many' });
  if (operands.length < row.least && problems.length === 0)
    problems.push({ where: 'argument', message: `${row.operands} is missing` });
  return { command: row, flags: command.opts(), operands, problems };
}

/** `--watch=false` and the like: commander knows switches only without a value. */
function spellSwitches(argv: readonly string[]): readonly string[] {
  const switches = Object.entries(options).filter(([, option]) => option.kind === switchKind);
  return argv.flatMap((word) => {
    const [flag = '', value] = word.split('=', 2);
    if (value === undefined || !switches.some(([name]) => flagOf(name) === flag)) return [word];
    const on = switchKind.read(value, () => {});
    return on === undefined ? [word] : on ? [flag] : [];
  });
}

function isCommanderExit(thrown: unknown): thrown is { readonly exitCode: number } {
  return thrown instanceof Error && 'exitCode' in thrown && typeof thrown.exitCode === 'number';
}
