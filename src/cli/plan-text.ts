import type { BalancerPlan, Change, PlanDocument, PlannedRefusal, PlannedStep, PlanSummary } from './plan-document.ts';
import { wrapText } from './table.ts';

/** A line that a person reads in one go. */
const LEAST_WIDTH = 40;
const USUAL_WIDTH = 80;
const MOST_WIDTH = 120;

/** Stands for a blank at which no line ends. */
const NO_BREAK = '\u0000';

/** How many others' Services are named before they are only counted. */
const NAMED_OTHERS = 10;

const signs: Readonly<Record<Change, { readonly sign: string; readonly word: string; readonly colour: string }>> = {
  create: { sign: '+', word: 'create', colour: '32' },
  change: { sign: '~', word: 'change', colour: '33' },
  delete: { sign: '-', word: 'delete', colour: '31' },
  none: { sign: '=', word: 'leave', colour: '2' },
};
const REFUSED = { sign: '!', word: 'refuse', colour: '35' } as const;

export interface TextOptions {
  /** Of the terminal, in cells; undefined in a pipe: 80. */
  readonly columns?: number | undefined;
  readonly colour: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** What was asked for is shown, though nothing is to be done about it. */
  readonly verbose: boolean;
}

/** Writes for one width, with colours or without. */
export interface Pen {
  readonly width: number;
  readonly now: number;
  paint(text: string, colour: string): string;
}

/** The plan for people. */
export function renderPlan(plan: PlanDocument, { columns, colour, now, verbose }: TextOptions): string {
  const pen = takePen({ columns, colour, now });
  const shown = plan.balancers.filter((one) => verbose || isNews(one));
  const parts = shown.map((one) => renderBalancer(one, pen));
  const others = renderOthers(plan, verbose, pen);
  return `${[...parts, ...(others === '' ? [] : [others]), renderSummary(plan.summary, pen)].join('\n')}`;
}

export function takePen({ columns, colour, now }: Omit<TextOptions, 'verbose'>): Pen {
  return {
    width: Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, columns ?? USUAL_WIDTH)),
    now,
    paint: (text, code) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text),
  };
}

/** Where nothing changes there may still be something to know. */
function isNews({ change, refused, notes }: BalancerPlan): boolean {
  return change !== 'none' || refused.length + notes.length > 0;
}

function renderBalancer(plan: BalancerPlan, pen: Pen): string {
  const { change, steps, refused, withConsent, notes } = plan;
  return [
    renderTitle(plan, pen),
    ...refused.map((one) => renderRefusal(one, plan, pen)),
    ...notes.map((note) => hang('  - ', note, pen)),
    renderSteps(steps, pen),
    ...(withConsent
      ? [hang('  ', 'With nodeport-lb.io/allow-disruption: "true" it would:', pen), renderSteps(withConsent, pen)]
      : []),
    ...(change === 'none' && refused.length + notes.length === 0 ? ['  nothing to do: it is as it is wanted\n'] : []),
  ].join('');
}

function renderTitle(plan: BalancerPlan, pen: Pen): string {
  const { sign, word, colour } = plan.change === 'none' && plan.refused.length > 0 ? REFUSED : signs[plan.change];
  const members = plan.services.length === 1 && plan.services[0] === plan.key ? '' : renderMembers(plan.services);
  const title = `${sign} ${word} ${plan.key}${members}${renderAddresses(plan)}`;
  const [first = '', ...more] = wrapText(title, pen.width, '').trimEnd().split('\n');
  return [pen.paint(first, colour), ...more.map((line) => `    ${line}`)].map((line) => `${line}\n`).join('');
}

function renderMembers(services: readonly string[]): string {
  return services.length === 0 ? '' : ` (${services.join(', ')})`;
}

function renderAddresses({ change, addresses: { now, planned } }: BalancerPlan): string {
  if (change === 'delete') return now.length === 0 ? '' : ` at ${now.join(', ')}`;
  if (planned.length === 0 || planned.join() === now.join()) return now.length === 0 ? '' : ` at ${now.join(', ')}`;
  return now.length === 0 ? ` at ${planned.join(', ')}` : ` from ${now.join(', ')} to ${planned.join(', ')}`;
}

function renderRefusal({ service, reason, message, cure }: PlannedRefusal, plan: BalancerPlan, pen: Pen): string {
  const who = plan.services.length > 1 ? `${service}: ` : '';
  return hang('  ', `${who}${reason}: ${message}.`, pen) + hang('  ', cure, pen);
}

/** Steps under what they are for; a reason is said once for all that follow each other. */
export function renderSteps(steps: readonly PlannedStep[], pen: Pen): string {
  let reason = '';
  return steps
    .map((step, index) => {
      const because = step.reason === reason ? '' : hang('  ', `because ${step.reason}:`, pen);
      reason = step.reason;
      return because + renderStep(step, `${index + 1}. `.padStart(6), pen);
    })
    .join('');
}

function renderStep({ summary, call, disrupts, waitsFor, sharedWith }: PlannedStep, number: string, pen: Pen): string {
  const marks = [
    ...(disrupts ? ['CUTS TRAFFIC'] : []),
    ...(waitsFor ? [sayWait(waitsFor, pen.now)] : []),
    ...(sharedWith === undefined ? [] : [`once for all: as in ${sharedWith}`]),
  ];
  const marked = [summary, ...marks.map((mark) => `[${mark}]`.replaceAll(' ', NO_BREAK))].join(' ');
  const text = hang(number, marked, pen).replaceAll(NO_BREAK, ' ').replace('CUTS TRAFFIC', pen.paint('CUTS TRAFFIC', '31'));
  return call === undefined || sharedWith !== undefined ? text : text + renderCall(call, ' '.repeat(number.length + 2), pen);
}

/** A list that is longer than a line is broken behind its commas. */
function renderCall(call: string, indent: string, pen: Pen): string {
  const words = call.split(' ').map((word) => (word.length > pen.width - indent.length ? word.replaceAll(',', ', ') : word));
  return `${pen.paint(wrapText(words.join(' '), pen.width, indent).trimEnd(), '2')}\n`;
}

function sayWait({ what, until }: NonNullable<PlannedStep['waitsFor']>, now: number): string {
  if (what !== 'time' || until === undefined) return `once it is ${what === 'time' ? 'time' : what}`;
  return `after ${Math.max(0, Math.ceil((until - now) / 1_000))} s`;
}

function renderOthers({ leftAlone }: PlanDocument, verbose: boolean, pen: Pen): string {
  if (leftAlone.length === 0) return '';
  const named = leftAlone.slice(0, verbose ? leftAlone.length : NAMED_OTHERS);
  const more = leftAlone.length - named.length;
  const lines = named.map(({ service, why }) => hang('  ', `${service}: ${why}`, pen));
  const title = 'Left alone, because they are not ours:\n';
  return `${title}${lines.join('')}${more > 0 ? `  and ${more} more\n` : ''}`;
}

function renderSummary(summary: PlanSummary, pen: Pen): string {
  const { create, change, delete: deleted, disrupt, refused, unchanged, needConsent } = summary;
  const isIdle = create + change + deleted === 0;
  const planned = [`${create} to create`, `${change} to change`, `${deleted} to delete`].join(', ');
  const cuts = `${disrupt === 0 ? 'none' : disrupt} of them ${disrupt > 1 ? 'cut' : 'cuts'} traffic`;
  const rest = [
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(needConsent > 0 ? [`${needConsent} with consent`] : []),
    ...(unchanged > 0 ? [`${unchanged} as wanted`] : []),
  ];
  const said = isIdle ? ['Nothing to do', ...rest] : [`Plan: ${planned}`, cuts, ...rest];
  return `${pen.paint(wrapText(`${said.join('; ')}.`, pen.width, '').trimEnd(), '1')}\n`;
}

/** Wraps text; lines after the first stand under its beginning. */
export function hang(prefix: string, text: string, pen: Pen): string {
  return prefix + wrapText(text, pen.width, ' '.repeat(prefix.length)).slice(prefix.length);
}
