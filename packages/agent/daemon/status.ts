import { join } from 'node:path';
import { readCertificate } from '@keystead/core/x509';
import { renewalTime } from '../renewal/index.ts';
import { type DeviceState, nodeDisk, replaceFile } from '../state/index.ts';
import type { CarriedTrust, ProvenClock } from '../trust/index.ts';

/** What an operator at the device sees; nothing in it is secret. Times are ISO 8601 UTC. */
export interface AgentStatus {
  readonly deviceId: string;
  readonly at: string;
  /** `behind`: the device lives at the latest time that something signed has told. */
  readonly clock: { readonly state: 'plausible' | 'behind'; readonly provenTime?: string };
  readonly idevid: { readonly serial: string; readonly notAfter: string } | null;
  readonly credential: {
    readonly serial: string;
    readonly notAfter: string;
    /** When it is renewed. */
    readonly renews: string;
    readonly ended: boolean;
  } | null;
  readonly trust: {
    readonly fleet: string;
    readonly version: number;
    /** `none`: no bundle is gone by; `expired`: nobody is believed until a newer one has come. */
    readonly state: 'current' | 'expired' | 'none';
    readonly issuedAt?: string;
    readonly expires?: string;
    readonly filter?: { readonly sha256: string; readonly date: string; readonly expires: string };
  } | null;
  /** Open connections whose peers are judged again with each bundle. */
  readonly connections: number;
  /** The last of each kind, as it was logged. */
  readonly last: Readonly<Record<string, unknown>>;
}

export interface StatusSource {
  readonly state: DeviceState;
  readonly clock: ProvenClock;
  readonly carried: CarriedTrust | undefined;
  readonly connections: number;
  readonly last: Readonly<Record<string, unknown>>;
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

export function statusOf({ state, clock, carried, connections, last }: StatusSource): AgentStatus {
  const now = clock.now();
  const health = clock.health();
  const [idevid, current] = [state.credential('idevid'), state.credential('current')];
  const shown = (certificate: Parameters<typeof readCertificate>[0]) => {
    const { serial, notAfter } = readCertificate(certificate);
    return { serial, notAfter: notAfter.toISOString() };
  };
  return {
    deviceId: state.deviceId,
    at: now.toISOString(),
    clock: health.state === 'behind' ? { state: 'behind', provenTime: health.provenTime.toISOString() } : health,
    idevid: idevid === undefined ? null : shown(idevid.certificate),
    credential:
      current === undefined
        ? null
        : {
            ...shown(current.certificate),
            renews: renewalTime(current).toISOString(),
            ended: readCertificate(current.certificate).notAfter.getTime() < now.getTime(),
          },
    trust: trustOf(state, carried, now),
    connections,
    last,
  };
}

function trustOf(state: DeviceState, carried: CarriedTrust | undefined, now: Date): AgentStatus['trust'] {
  if (state.trust === undefined) return null;
  const { fleet, version } = state.trust.state;
  if (carried === undefined) return { fleet, version, state: 'none' };
  const { content, filter, expires } = carried;
  return {
    fleet,
    version,
    state: now.getTime() < expires.getTime() ? 'current' : 'expired',
    issuedAt: iso(content.issuedAt),
    expires: expires.toISOString(),
    ...(filter === undefined || content.filterSha256 === null
      ? {}
      : {
          filter: {
            sha256: content.filterSha256,
            date: filter.date.toISOString(),
            expires: filter.expires.toISOString(),
          },
        }),
  };
}

export const statusFile = (run: string): string => join(run, 'status.json');

/** Replaces the file whole: who reads it never sees a part. */
export function writeStatus(run: string, status: AgentStatus): void {
  replaceFile(nodeDisk, statusFile(run), Buffer.from(`${JSON.stringify(status, null, 2)}\n`));
}
