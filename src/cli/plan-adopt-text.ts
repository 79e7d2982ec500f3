import type { AdoptedService, AdoptionDocument } from './plan-adopt-document.ts';
import { rivals } from './plan-adopt-rivals.ts';
import type { BalancerPlan } from './plan-document.ts';
import { hang, type Pen, renderSteps, takePen } from './plan-text.ts';

export interface AdoptionText {
  /** Of the terminal, in cells; undefined in a pipe. */
  readonly columns?: number | undefined;
  readonly colour: boolean;
  /** The configuration as YAML. */
  readonly config: string;
}

/** What would come of another controller's Services, for people. */
export function renderAdoption(adoption: AdoptionDocument, { columns, colour, config }: AdoptionText): string {
  const pen = takePen({ columns, colour, now: 0 });
  const { adoptFrom, lost, services, balancers } = adoption;
  const { title, provider } = rivals[adoptFrom];
  return [
    `${pen.paint(`# ${title} in our words, for --config:`, '1')}\n${config}`,
    ...(lost.length > 0 ? [`Not carried over:\n${lost.map((one) => hang('  - ', one, pen)).join('')}`] : []),
    ...services.map((service) => renderService(service, provider === 'aws' ? balancers : [], pen)),
    renderSummary(title, services, pen),
  ].join('\n');
}

function renderService(service: AdoptedService, balancers: readonly BalancerPlan[], pen: Pen): string {
  const plan = balancers.find(({ services }) => services.includes(service.service));
  return [
    hang('', titleOf(service), pen),
    ...service.refused.flatMap(({ reason, message, cure }) => [hang('  ', `${reason}: ${message}.`, pen), hang('  ', cure, pen)]),
    ...service.notes.map((note) => hang('  - ', note, pen)),
    renderSteps(plan?.steps ?? [], pen),
    ...service.commands.map((command) => `  $ ${command}\n`), // not wrapped: to paste
  ].join('');
}

function titleOf({ service, addresses: { now, planned }, keepsAddresses, refused }: AdoptedService): string {
  const at = now.length === 0 ? '' : ` at ${now.join(', ')}`;
  if (refused.length > 0) return `! refuse ${service}${at}`;
  if (keepsAddresses) return `= keep ${service}${at}`;
  const from = now.length === 0 ? '' : ` from ${now.join(', ')}`;
  return `~ move ${service}${from}${planned.length === 0 ? '' : ` to ${planned.join(', ')}`}`;
}

function renderSummary(title: string, services: readonly AdoptedService[], pen: Pen): string {
  if (services.length === 0) return hang('', `No Service of ${title} was found.`, pen);
  const kept = services.filter(({ keepsAddresses }) => keepsAddresses).length;
  const refused = services.filter((one) => one.refused.length > 0).length;
  const moved = services.length - kept - refused;
  const counts = [`${kept} would keep their addresses`, `${moved} would move`, `${refused} would be refused`];
  const how = `Nothing was changed. Start our controller beside ${title}, then bring Services over one by one: a class cannot be given in place, so each goes by way of type NodePort, and answers at its nodePorts meanwhile.`;
  return `${pen.paint(`Services: ${services.length}; ${counts.join(', ')}.`, '1')}\n${hang('', how, pen)}`;
}
