import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { type SignOn, type StationOrder, signSignOn, signStationOrder } from '@keystead/core/lifecycle';
import type { Params } from '../protocol.ts';
import { csrFor, type KeydBed, makeKey, type TestKey } from './bed.ts';

export const ST_3 = 'st-3.line-1.plant.example';

type By = { name: string; key: TestKey };

const second = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** A request of a station, and the order for it that ada signed unless told otherwise. */
export async function stationOrderOf(
  bed: KeydBed,
  station = ST_3,
  more: Partial<StationOrder> = {},
  by: By = { name: 'ada', key: bed.people.ada },
): Promise<{ csr: Uint8Array; order: string }> {
  const now = bed.clock.now().getTime();
  const csr = await csrFor(station, makeKey());
  const validity = { notBefore: second(now), notAfter: second(now + 3_600_000) };
  const draft = { factory: 'headquarters', station, csrSha256: toHex(sha256(csr)), ...validity, ...more };
  return { csr, order: await signStationOrder(draft, by.name, by.key.signer) };
}

/** What keyd is asked for a station's certificate. */
export async function stationRequest(
  bed: KeydBed,
  ...[station = ST_3, more, by]: Partial<[station: string, more: Partial<StationOrder>, by: By]>
): Promise<Params<'issue'>> {
  const { csr, order } = await stationOrderOf(bed, station, more, by);
  const { certificate } = await bed.client.issue({
    profile: 'operator',
    csr: await csrFor('ada', bed.people.ada),
    requester: { kind: 'operator', id: 'ada' },
    requestId: 'ada',
  });
  const requester = { kind: 'operator', id: 'ada', certificate, order } as const;
  return { profile: 'station', csr, requester, hosts: [station], requestId: `station-${station}` };
}

/** The certificate of a station. */
export async function stationCertificate(bed: KeydBed, station = ST_3): Promise<DerCertificate> {
  return (await bed.client.issue(await stationRequest(bed, station))).certificate;
}

/** A sign-on of lin at a station for eight hours, unless told otherwise. */
export function signOnOf(
  bed: KeydBed,
  more: Partial<SignOn> = {},
  by: By = { name: 'lin', key: bed.people.lin },
): Promise<string> {
  const now = bed.clock.now().getTime();
  const validity = { notBefore: second(now), notAfter: second(now + 8 * 3_600_000) };
  const id = toHex(randomBytes(16));
  const place = { factory: 'headquarters', station: ST_3, line: 'line-1' };
  return signSignOn({ id, ...place, ...validity, ...more }, by.name, by.key.signer);
}
