import { KeysteadError } from '@keystead/core/errors';
import type { CredentialSlot, DeviceState } from '../state/index.ts';
import { askServer } from './device-api.ts';
import type { DeviceTls } from './device-tls.ts';

/** The firmware that runs, as the device's updater says it. */
export interface RunningFirmware {
  readonly product: string;
  readonly version: string;
  readonly securityCounter: number | null;
}

/** What a device tells its server of itself; who it is the server takes from its certificate. */
export interface Uptake {
  readonly bundle: { readonly version: number; readonly sha256: string } | null;
  /** SHA-256 of the newest of the filter's files, hex. */
  readonly filter: string | null;
  readonly firmware: RunningFirmware | null;
}

/** What the state says of itself: nothing while no bundle is gone by. */
export function uptakeOf({ trust }: DeviceState, firmware: RunningFirmware | null): Uptake {
  if (trust?.bundle === undefined) return { bundle: null, filter: null, firmware };
  const { version, sha256 } = trust.state;
  return { bundle: { version, sha256 }, filter: trust.filters.at(-1) ?? null, firmware };
}

/**
 * Reports it over mutual TLS. An answer shows as well that the server takes the credential: it judges after the handshake.
 * @param server `https://host:port`.
 * @throws KeysteadError `uptake.refused` with the status, `peer.unreachable`, `peer.refused`, `state.*`.
 */
export async function reportUptake(
  tls: DeviceTls,
  server: string,
  uptake: Uptake,
  { pin, slot }: { readonly pin?: string; readonly slot?: CredentialSlot } = {},
): Promise<void> {
  const body = Buffer.from(JSON.stringify(uptake));
  const wanted = { method: 'POST', path: '/api/v1/device/uptake', contentType: 'application/json', body } as const;
  const { status } = await askServer(tls, server, wanted, { pin, slot });
  if (status !== 204) throw new KeysteadError('uptake.refused', { field: 'uptake', seen: `HTTP ${status}` });
}
