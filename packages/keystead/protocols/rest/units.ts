import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody, csrBytes, deviceId, line, pemOrBase64, ticketId } from './schemas.ts';
import {
  UNIT_WAY_ROUTES,
  type UnitWay,
  UnitWaySchema,
  type UnitWaysDomain,
  unitWay,
  unitWayRoutes,
} from './unit-ways.ts';
import type { UnitView } from './views.ts';

/** What a unit shows of its TPM. */
export interface UnitShown {
  readonly ekCertificate?: Uint8Array;
  readonly ekPublic: Uint8Array;
  readonly akPublic: Uint8Array;
  readonly keyPublic: Uint8Array;
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
}

interface UnitNamed {
  readonly ticketId: string;
  readonly deviceId: string;
  readonly line: string;
}

/** A challenge as the REST interface gives it out, bytes in base64. */
export interface ChallengeView {
  readonly challengeId: string;
  /** TPMS_ID_OBJECT, and the content of TPM2B_ENCRYPTED_SECRET. */
  readonly idObject: string;
  readonly encryptedSecret: string;
  readonly expiresAt: string;
}

/** What these routes need of the domain. */
export interface UnitDomain extends UnitWaysDomain {
  challengeUnit(caller: Caller, unit: UnitNamed & { shown: UnitShown }): Promise<ChallengeView>;
  provisionUnit(
    caller: Caller,
    unit: UnitNamed & {
      /** Left out where keyd is to make the key. */
      csr?: Uint8Array;
      attestation?: { challengeId: string; secret: Uint8Array };
      way?: UnitWay;
    },
  ): Promise<UnitView>;
}

/** Bytes as base64, at most `max` of them. */
const bytes = (max: number) =>
  z
    .base64()
    .min(1)
    .max(Math.ceil(max / 3) * 4)
    .transform(fromBase64);
const structure = bytes(1024);
const named = { ticketId, deviceId, line };

const ChallengeUnit = z.strictObject({
  ...named,
  ekCertificate: bytes(8192).optional(),
  ekPublic: structure,
  akPublic: structure,
  keyPublic: structure,
  attest: structure,
  signature: structure,
});
const ProvisionUnit = z.strictObject({
  ...named,
  csr: pemOrBase64.optional(),
  way: UnitWaySchema.optional(),
  attestation: z
    .strictObject({ challengeId: z.string().regex(/^[0-9a-f]{32}$/, '32 hex digits'), secret: bytes(64) })
    .optional(),
});

/** Units of a batch: a challenge to the TPM where the key is to be attested, and the IDevID. */
export function unitRoutes(api: FastifyInstance, domain: UnitDomain, reading: Reading): void {
  const { read, caller } = reading;
  api.post('/attestations', async (request) => {
    const body = await read(request, () => checkBody(ChallengeUnit, request.body));
    const { ticketId, deviceId, line, ...shown } = body;
    return domain.challengeUnit(caller(request), { ticketId, deviceId, line, shown });
  });
  api.post('/units', async (request) => {
    const unit = await read(request, () => {
      const body = checkBody(ProvisionUnit, request.body);
      return readUnit(body);
    });
    return domain.provisionUnit(caller(request), unit);
  });
  unitWayRoutes(api, domain, reading);
}

/** A request and one way at most: no request where keyd makes the key, and no other evidence beside a way. */
function readUnit(body: z.output<typeof ProvisionUnit>): Parameters<UnitDomain['provisionUnit']>[1] {
  const { csr, way, attestation, ...unit } = body;
  const needsRequest = way?.kind !== 'injected';
  if (needsRequest !== (csr !== undefined))
    throw new KeysteadError('request.malformed', { field: 'csr', seen: needsRequest ? 'none' : 'one beside injected' });
  if (way !== undefined && attestation !== undefined)
    throw new KeysteadError('request.malformed', { field: 'way', seen: 'one beside attestation' });
  return {
    ...unit,
    ...(csr === undefined ? {} : { csr: csrBytes(csr) }),
    ...(way === undefined ? {} : { way: unitWay(way) }),
    ...(attestation === undefined ? {} : { attestation }),
  };
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const UNIT_ROUTES = [
  [
    'POST',
    '/api/v1/attestations {ticketId, deviceId, line, ekCertificate?, ekPublic, akPublic, keyPublic, attest, signature}',
    'unit.provision',
  ],
  [
    'POST',
    '/api/v1/units {ticketId, deviceId, csr?, line, attestation?: {challengeId, secret}, way?: {kind, ...}}',
    'unit.provision',
  ],
  ...UNIT_WAY_ROUTES,
] as const;
