import { KeysteadError } from '@keystead/core/errors';
import { isIn, type StandingJson } from '@keystead/core/trust';
import type { CampaignState } from '../store/index.ts';
import type { Plan } from './plan.ts';

type Pins = StandingJson['pins'][number]['keys'];

/**
 * What is to stand in the next trust bundle, by the plan of a campaign and where it is: the new key beside the old one
 * before the switch, and without the old one when every ring has moved. Undefined where nothing is to change. It signs
 * nothing: people look at it, and a quorum orders it. REQ-KEY-ROT-02, REQ-KEY-ROT-03
 * @param standing what stands in the newest bundle.
 * @param at seconds since 1970, for the windows of new pins.
 * @throws KeysteadError `rotation.target` for a kind whose bundles are made by hand, `rotation.not-ready` where the bundle
 *   has not what is rotated.
 */
export function nextBundle(
  plan: Plan,
  state: CampaignState,
  standing: StandingJson,
  at: number,
): StandingJson | undefined {
  const adds = state === 'distributing';
  const drops = state === 'retiring';
  if (plan.kind !== 'server-keys' && plan.kind !== 'firmware-keys')
    throw new KeysteadError('rotation.target', {
      field: 'kind',
      seen: `${plan.kind}, where server-keys and firmware-keys have a bundle of each step`,
    });
  if (!adds && !drops) return undefined;
  const changed = plan.kind === 'server-keys' ? withPins(plan, standing, adds, at) : withSigners(plan, standing, adds);
  return JSON.stringify(changed) === JSON.stringify(standing) ? undefined : changed;
}

function withPins(plan: Plan, standing: StandingJson, adds: boolean, at: number): StandingJson {
  const { target, old } = plan;
  requireOne(standing.pins, ({ role }) => role === target, `no pins of ${target}`);
  const pins = standing.pins.map((pin) => {
    if (pin.role !== target) return pin;
    if (adds && !pin.keys.some((key) => key.spkiSha256 === old && key.use !== 'backup' && isIn(key, at)))
      throw notReady('old', `no key of ${target} that is used now`);
    return { ...pin, keys: adds ? added(plan, pin.keys, at) : moved(plan, pin.keys) };
  });
  return { ...standing, pins };
}

/** The key that comes is good from now on, and the backup until the last of the others ends. */
function added({ next = '', backup = '' }: Plan, keys: Pins, at: number): Pins {
  const last = Math.max(...keys.map(({ until }) => until));
  const known = keys.map((key) => {
    const from = Math.min(key.from, at);
    if (key.spkiSha256 === next) {
      // One that is in use already stays so: a bundle that was made by hand. A key of later is told of before it is used.
      const use: 'current' | 'next' = key.use === 'current' && isIn(key, at) ? 'current' : 'next';
      return { ...key, from, use, until: key.until > at ? key.until : last };
    }
    return key.spkiSha256 === backup ? { ...key, from, use: 'backup' as const, until: last } : key;
  });
  const made = (spkiSha256: string, use: 'next' | 'backup'): Pins =>
    known.some((key) => key.spkiSha256 === spkiSha256) ? [] : [{ spkiSha256, use, from: at, until: last }];
  return [...known, ...made(next, 'next'), ...made(backup, 'backup')];
}

const moved = ({ old, next }: Plan, keys: Pins): Pins =>
  keys
    .filter(({ spkiSha256 }) => spkiSha256 !== old)
    .map((key) => (key.spkiSha256 === next ? { ...key, use: 'current' as const } : key));

function withSigners({ target, old, next = '' }: Plan, standing: StandingJson, adds: boolean): StandingJson {
  requireOne(standing.firmware, ({ product }) => product === target, `no product ${target}`);
  const firmware = standing.firmware.map((one) => {
    if (one.product !== target) return one;
    const signers = adds ? [...new Set([...one.signers, next])] : one.signers.filter((signer) => signer !== old);
    return { ...one, signers };
  });
  return { ...standing, firmware };
}

function requireOne<T>(all: readonly T[], is: (one: T) => boolean, seen: string): void {
  if (!all.some(is)) throw notReady('target', `${seen} in the newest trust bundle`);
}

const notReady = (field: string, seen: string): KeysteadError =>
  new KeysteadError('rotation.not-ready', { field, seen });
