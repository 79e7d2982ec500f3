import { at, list, stringMap, text } from '../kube/objects.ts';

/** Another balancer controller seen in the cluster. */
export interface Rival {
  readonly name: string;
  /** The object that gave it away, for people. */
  readonly seen: string;
}

/** What is looked at: lists of the API's own JSON. */
export interface RivalSigns {
  readonly leases: readonly unknown[];
  readonly daemonSets: readonly unknown[];
  readonly deployments: readonly unknown[];
}

interface Sign {
  readonly rival: string;
  /** Matches an image's repository, without registry and tag. */
  readonly image: RegExp;
}

/** Controllers that take Services without a class, known by the images that their DaemonSets and Deployments run. */
const IMAGES: readonly Sign[] = [
  { rival: 'k3s ServiceLB', image: /(^|\/)klipper-lb$/ },
  { rival: 'MetalLB', image: /(^|\/)metallb\/(controller|speaker)$/ },
  { rival: 'kube-vip', image: /(^|\/)kube-vip(-cloud-provider)?$/ },
  { rival: 'PureLB', image: /(^|\/)purelb\/(allocator|lbnodeagent)$/ },
  { rival: 'OpenELB', image: /(^|\/)openelb(-controller|-speaker)?$/ },
  { rival: 'LoxiLB', image: /(^|\/)kube-loxilb$/ },
  { rival: 'AWS Load Balancer Controller', image: /(^|\/)aws-load-balancer-controller$/ },
  { rival: 'a cloud controller manager', image: /(^|\/)[a-z0-9-]*cloud-controller-manager$/ },
];

/** A Lease older than this many of its own durations is a dead holder's. */
const FRESH_DURATIONS = 4;

/**
 * Finds the controllers that would take the same Services.
 * @param now milliseconds since the epoch
 */
export function findRivals(signs: RivalSigns, now: number): readonly Rival[] {
  const found = [
    ...signs.leases.flatMap((lease) =>
      isFreshCloudLease(lease, now) ? [{ name: 'a cloud controller manager', seen: `Lease ${objectName(lease)}` }] : [],
    ),
    ...signs.daemonSets.flatMap((set) => judgeWorkload('DaemonSet', set)),
    ...signs.deployments.flatMap((set) => judgeWorkload('Deployment', set)),
  ];
  return found.filter((rival, i) => found.findIndex((other) => other.name === rival.name) === i);
}

function isFreshCloudLease(lease: unknown, now: number): boolean {
  if (text(at(at(lease, 'metadata'), 'name')) !== 'cloud-controller-manager') return false;
  const spec = at(lease, 'spec');
  const renewed = Date.parse(text(at(spec, 'renewTime')));
  const seconds = at(spec, 'leaseDurationSeconds');
  const durationMs = (typeof seconds === 'number' && seconds > 0 ? seconds : 15) * 1000;
  return text(at(spec, 'holderIdentity')) !== '' && now - renewed < durationMs * FRESH_DURATIONS;
}

function judgeWorkload(kind: string, workload: unknown): readonly Rival[] {
  const name = text(at(at(workload, 'metadata'), 'name'));
  const labels = stringMap(at(at(workload, 'metadata'), 'labels'));
  const seen = `${kind} ${objectName(workload)}`;
  if (kind === 'DaemonSet' && (name.startsWith('svclb-') || labels['svccontroller.k3s.cattle.io/svcname'])) {
    return [{ name: 'k3s ServiceLB', seen }];
  }
  const images = list(at(at(at(at(workload, 'spec'), 'template'), 'spec'), 'containers')).map((c) =>
    repository(text(at(c, 'image'))),
  );
  const sign = IMAGES.find(({ image }) => images.some((repo) => image.test(repo)));
  return sign ? [{ name: sign.rival, seen }] : [];
}

/** `registry:5000/metallb/controller:v1@sha256:…` -> `registry:5000/metallb/controller`. */
function repository(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/]*$/, '');
}

function objectName(object: unknown): string {
  const meta = at(object, 'metadata');
  return `${text(at(meta, 'namespace'))}/${text(at(meta, 'name'))}`;
}
