import type { Inventory } from './inventory.ts';
import { TAG, uidsOf } from './names.ts';
import type { Move, Observed, SeenBalancer, SeenGroup } from './picture.ts';
import { readZoneNote } from './plan-zones.ts';
import { isReady } from './readiness.ts';
import type { Wish } from './wish.ts';

type Seen = Pick<Inventory, 'balancers' | 'groups'>;
type Wishes = ReadonlyMap<string, Wish>;

/** As NLBs have it unless told otherwise. */
const DRAIN_SECONDS = 300;

export interface Moving {
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly seen: Seen;
  /** Overrides how long what is left lives on. */
  readonly graceSeconds?: number;
  /** Whether the Service is there and wants a balancer of ours, though perhaps nobody has said yet which; absent: not known. */
  wants?(uid: string): boolean;
}

/** Pure. What goes from this balancer to others, and what comes. */
export function findMoves(key: string, moving: Moving): Pick<Observed, 'moves' | 'arrivals'> {
  return { moves: movesFrom(key, moving), arrivals: arrivalsAt(key, moving.wishes, moving.seen) };
}

/** Whether anything goes or comes, as what is wanted here was said last. */
export function isMoving(key: string, moving: Moving): boolean {
  const { moves, arrivals } = findMoves(key, moving);
  const own = moving.wishes.get(key)?.balancer.members.map(({ uid }) => uid) ?? [];
  return arrivals.length > 0 || moves.some(({ uid }) => !own.includes(uid));
}

/**
 * Services that this balancer carries and that another one wants, or will want: their share group has changed. Their clients stay here
 * until they are served there. What this balancer itself wants is for the plan to say.
 */
function movesFrom(key: string, { wishes, seen, graceSeconds, wants }: Moving): readonly Move[] {
  const carried = new Set(groupsOf(key, seen).flatMap(({ tags }) => uidsOf(tags)));
  return [...carried].flatMap((uid): readonly Move[] => {
    const to = wantedBy(uid, key, wishes);
    if (!to && !wants?.(uid)) return [];
    const grace = graceSeconds ?? to?.balancer.settings.drainSeconds ?? DRAIN_SECONDS;
    return [{ uid, isServed: to !== undefined && serves(uid, to, seen), graceSeconds: grace }];
  });
}

/** Pure. UIDs of Services that this balancer wants, does not serve yet, and that another one still carries. */
function arrivalsAt(key: string, wishes: Wishes, seen: Seen): readonly string[] {
  const wish = wishes.get(key);
  if (!wish) return [];
  const others = [...seen.groups.values()].filter((group) => group.tags[TAG.balancer] !== key);
  const isCarried = (uid: string): boolean =>
    others.some((group) => group.tags[TAG.services]?.includes(uid) && uidsOf(group.tags).includes(uid) && isInUse(group));
  return wish.balancer.members.flatMap(({ uid }) => (isCarried(uid) && !serves(uid, wish, seen) ? [uid] : []));
}

/** Balancers that may wait for what becomes of this one: they carry Services that it wants. */
export function carriersFor(key: string, wishes: Wishes, { groups }: Seen): readonly string[] {
  const uids = new Set(wishes.get(key)?.balancer.members.map(({ uid }) => uid));
  const carriers = [...groups.values()].filter(
    ({ tags }) => tags[TAG.balancer] !== key && uidsOf(tags).some((uid) => uids.has(uid)),
  );
  return [...new Set(carriers.map(({ tags }) => tags[TAG.balancer] ?? ''))];
}

function wantedBy(uid: string, key: string, wishes: Wishes): Wish | undefined {
  for (const wish of wishes.values()) {
    if (wish.balancer.key !== key && wish.balancer.members.some((member) => member.uid === uid)) return wish;
  }
  return undefined;
}

function groupsOf(key: string, { groups }: Seen): readonly SeenGroup[] {
  return [...groups.values()].filter(({ tags }) => tags[TAG.balancer] === key);
}

/** Whether clients of the Service may go there: each of its ports has targets that serve, those of its shares too, or as much as they do where it is now. */
function serves(uid: string, { balancer }: Wish, seen: Seen): boolean {
  const active = new Set([...seen.balancers.values()].filter(isActive).map(({ arn }) => arn));
  const fresh = groupsOf(balancer.key, seen).filter((group) => group.balancerArns.some((arn) => active.has(arn)));
  const others = [...seen.groups.values()].filter((group) => group.tags[TAG.balancer] !== balancer.key && isInUse(group));
  return balancer.listeners
    .filter(({ service }) => service.uid === uid)
    .every(({ port, protocol }) => {
      const own = `${port}/${protocol}=${uid}`;
      const shares = fresh.flatMap((group) => wordsOf(group, uid).filter((word) => word.startsWith(`${port}/${protocol}@`)));
      return [own, ...shares].every((word) => {
        const has = (group: SeenGroup): boolean => wordsOf(group, uid).includes(word);
        const group = fresh.find(has);
        return group !== undefined && isReady(group, others.find(has), balancer.nodes.length > 0);
      });
    });
}

/** What a target group of the Service serves. */
function wordsOf({ tags }: SeenGroup, uid: string): readonly string[] {
  return uidsOf(tags).includes(uid) ? (tags[TAG.listener]?.split(' ') ?? []) : [];
}

function isActive({ state, tags }: SeenBalancer): boolean {
  const isUp = state === 'active' || state === 'active_impaired' || readZoneNote({ tags }) !== undefined;
  return isUp && tags[TAG.retired] === undefined;
}

/** A target group that nobody has said goodbye to. */
function isInUse({ balancerArns, tags }: SeenGroup): boolean {
  return balancerArns.length > 0 && tags[TAG.retired] === undefined;
}
