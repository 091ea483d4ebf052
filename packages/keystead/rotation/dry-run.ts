import type { Plan } from './plan.ts';

/** Why a device would be cut off. */
export const WHYS = {
  'no-uptake': 'it has never reported which trust bundle it has',
  'bundle-older': 'its trust bundle does not know the new key',
  'bundle-unknown': 'it reports a trust bundle that was never published here, or that ended and is kept no more',
  'not-seen': 'it was not heard of for longer than the plan allows',
  'renews-too-late': 'its certificate by the old key lasts beyond the retirement, and its renewal is due only after it',
  'on-the-old': 'it has not moved, and its certificate by the old key could be used still',
  'no-credential': 'it has no certificate that can be used, and must come back by its IDevID',
  'idevid-by-the-old': 'its IDevID is by the old key, and an IDevID is for life',
  'firmware-unknown': 'which firmware it has is not known',
  'firmware-too-old': 'its firmware is older than the first that can do what comes',
  'product-unsupported': 'the plan knows no firmware of its product that can do what comes',
} as const satisfies Record<string, string>;
export type Why = keyof typeof WHYS;

/** What is known of a device. Times are milliseconds. */
export interface DeviceFacts {
  readonly deviceId: string;
  readonly model: string;
  /** Whether it ever had a certificate besides its IDevID. */
  readonly enrolled: boolean;
  /** Its newest certificate that is not revoked, of the profile in question; undefined without one. */
  readonly credential:
    | {
        readonly issuer: string;
        readonly notBefore: number;
        readonly notAfter: number;
        readonly issuedAt: number;
        /** As profiles name it; undefined where nobody asked, or it is none that they know. */
        readonly algorithm: string | undefined;
      }
    | undefined;
  readonly idevidIssuer: string | undefined;
  /** What the device said of itself last; undefined where it never did. */
  readonly uptake:
    | {
        readonly bundle: { readonly version: number; readonly sha256: string } | undefined;
        readonly securityCounter: number | undefined;
        readonly reportedAt: number;
      }
    | undefined;
  /** When it was heard of last. */
  readonly lastSeen: number;
}

/** What a bundle that was published knows: undefined for one that was not. */
export type BundleKnows = (bundle: { version: number; sha256: string }) => boolean | undefined;

/** Under which circumstances the question is asked. */
export interface Question {
  readonly now: number;
  /** When the campaign began; undefined before. */
  readonly startedAt: number | undefined;
  /** When the old one is out of use. */
  readonly retireAt: number;
  /**
   * `forecast`: who will be cut off if the campaign goes on as planned, where a device that is heard of moves when it is
   * due. `now`: who is cut off if it happens at once, where nothing is expected of anybody.
   */
  readonly of: 'forecast' | 'now';
  readonly knows: BundleKnows;
}

/** How a device stands to a campaign. */
export type Standing =
  | { readonly standing: 'moved' | 'unaffected' | 'expected' }
  | { readonly standing: 'cut-off'; readonly why: readonly Why[] };

const MOVED: Standing = { standing: 'moved' };
const UNAFFECTED: Standing = { standing: 'unaffected' };
const EXPECTED: Standing = { standing: 'expected' };
/** The last point of a certificate's life at which devices renew by themselves (packages/agent/renewal/schedule.ts). */
const LATEST_RENEWAL = 0.75;

/**
 * How one device stands. What is not known counts against it: a device of which nothing is known is cut off, until
 * something is. REQ-KEY-ROT-02, REQ-KEY-ROT-03
 */
export function standingOf(plan: Plan, device: DeviceFacts, question: Question): Standing {
  switch (plan.kind) {
    case 'device-credentials':
      return byCertificate(plan, device, question, ({ issuedAt }) => issuedAt >= (question.startedAt ?? Infinity));
    case 'issuing-ca':
      if (device.idevidIssuer === plan.target) return { standing: 'cut-off', why: ['idevid-by-the-old'] };
      return byCertificate(plan, device, question, ({ issuer }) => issuer !== plan.target);
    case 'algorithm':
      return byCertificate(plan, device, question, ({ algorithm }) => algorithm === plan.algorithm);
    case 'root':
    case 'server-keys':
    case 'firmware-keys':
      return byBundle(plan, device, question);
  }
}

function byCertificate(
  plan: Plan,
  device: DeviceFacts,
  question: Question,
  moved: (credential: NonNullable<DeviceFacts['credential']>) => boolean,
): Standing {
  const { credential } = device;
  const firmware = plan.kind === 'algorithm' ? firmwareOf(plan, device) : [];
  if (credential !== undefined && moved(credential)) return MOVED;
  // Its next one is by the new key in any case, if only it can have one.
  if (credential === undefined || credential.notAfter <= question.now) {
    // After a compromise this is what is waited for.
    if (plan.emergency && device.enrolled) return { standing: 'cut-off', why: ['no-credential', ...firmware] };
    return firmware.length === 0 ? UNAFFECTED : { standing: 'cut-off', why: firmware };
  }
  if (question.of === 'now') return { standing: 'cut-off', why: ['on-the-old', ...firmware] };
  const { notBefore, notAfter } = credential;
  if (notAfter <= question.retireAt && plan.kind !== 'algorithm') {
    // It ends before the old key does: nothing of it is lost by the retirement.
    return isAway(plan, device, question) ? UNAFFECTED : EXPECTED;
  }
  const why: Why[] = [...firmware];
  if (isAway(plan, device, question)) why.push('not-seen');
  else if (notBefore + (notAfter - notBefore) * LATEST_RENEWAL > question.retireAt) why.push('renews-too-late');
  return why.length === 0 ? EXPECTED : { standing: 'cut-off', why };
}

function byBundle(plan: Plan, device: DeviceFacts, question: Question): Standing {
  const { uptake } = device;
  const firmware = asksFirmware(plan, device) ? firmwareOf(plan, device) : [];
  const cutOff = (...why: Why[]): Standing => ({ standing: 'cut-off', why: [...why, ...firmware] });
  if (uptake?.bundle === undefined) return cutOff('no-uptake');
  const knows = question.knows(uptake.bundle);
  if (knows === undefined) return cutOff('bundle-unknown');
  if (knows) return firmware.length === 0 ? MOVED : cutOff();
  if (question.of === 'now') return cutOff('bundle-older');
  if (isAway(plan, device, question)) return cutOff('bundle-older', 'not-seen');
  return firmware.length === 0 ? EXPECTED : cutOff();
}

/** Whether the firmware of a device matters: the keys of one product sign nothing for a model that the plan does not name. */
const asksFirmware = ({ kind, firmware }: Plan, { model }: DeviceFacts): boolean =>
  firmware !== undefined && (kind !== 'firmware-keys' || Object.hasOwn(firmware, model));

function firmwareOf({ firmware }: Plan, { model, uptake }: DeviceFacts): Why[] {
  const least = firmware !== undefined && Object.hasOwn(firmware, model) ? firmware[model] : undefined;
  if (least === undefined) return ['product-unsupported'];
  const counter = uptake?.securityCounter;
  if (counter === undefined) return ['firmware-unknown'];
  return counter < least ? ['firmware-too-old'] : [];
}

const isAway = ({ unseenSeconds }: Plan, { lastSeen }: DeviceFacts, { now }: Question): boolean =>
  lastSeen + unseenSeconds * 1000 < now;
