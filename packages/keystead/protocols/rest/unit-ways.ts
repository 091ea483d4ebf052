import { type DerCertificate, fromBase64, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody, deviceId, line, pemOrBase64, ticketId } from './schemas.ts';

/** Bytes as base64, at most `max` of them. */
const bytes = (max: number) =>
  z
    .base64()
    .min(1)
    .max(Math.ceil(max / 3) * 4)
    .transform(fromBase64);

/** PEM, the chip's certificate first. */
const chain = z.string().min(1).max(65_536);
/** SubjectPublicKeyInfo, PEM or base64 of its DER. */
const recipient = z.string().min(1).max(1024);

/**
 * How a unit comes to its key, where that is not by a TPM: the member `way` of a unit. The station's interface takes the
 * same. REQ-KEY-GEN-03
 */
export const UnitWaySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('secure-element'),
    chain,
    /** The answer to `POST /api/v1/chips`; left out where the request is for the certified key itself. */
    statement: z
      .strictObject({
        challengeId: z.string().regex(/^[0-9a-f]{32}$/, '32 hex digits'),
        signature: bytes(1024),
      })
      .optional(),
  }),
  z.strictObject({
    kind: z.literal('injected'),
    recipient,
    algorithm: z.enum(['P-256', 'P-384', 'Ed25519']).default('P-256'),
    /** Where a chip holds the recipient's key: its certificate, and CAs of its maker. */
    chain: chain.optional(),
  }),
]);

/** A way, with bytes for its text. */
export type UnitWay =
  | {
      readonly kind: 'secure-element';
      readonly chain: DerCertificate[];
      readonly statement?: { readonly challengeId: string; readonly signature: Uint8Array };
    }
  | {
      readonly kind: 'injected';
      readonly recipient: Uint8Array;
      readonly algorithm: 'P-256' | 'P-384' | 'Ed25519';
      readonly chain?: DerCertificate[];
    };

/** The way that a body names. @throws KeysteadError `request.malformed` naming the field. */
export function unitWay(way: z.output<typeof UnitWaySchema>): UnitWay {
  const shown = way.chain === undefined ? undefined : certificates(way.chain);
  if (way.kind === 'injected') {
    const { kind, algorithm } = way;
    const to = { kind, algorithm, recipient: spkiBytes(way.recipient) };
    return shown === undefined ? to : { ...to, chain: shown };
  }
  const { kind, statement } = way;
  return { kind, chain: shown ?? [], ...(statement === undefined ? {} : { statement }) };
}

/** A challenge to a chip, bytes in base64. */
export interface ChipChallengeView {
  readonly challengeId: string;
  readonly challenge: string;
  readonly expiresAt: string;
  readonly chipSerial: string;
}

/** A symmetric key that is wrapped to its device. */
export interface DerivedKeyView {
  readonly version: number;
  readonly kcv: string;
  /** CMS, DER, base64. */
  readonly envelope: string;
}

/** What these routes need of the domain. */
export interface UnitWaysDomain {
  challengeChip(
    caller: Caller,
    unit: { ticketId: string; deviceId: string; line: string; chain: DerCertificate[] },
  ): Promise<ChipChallengeView>;
  deriveUnitKey(
    caller: Caller,
    asked: {
      deviceId: string;
      purpose: string;
      certificate: DerCertificate;
      recipient: Uint8Array;
      proof: Uint8Array;
    },
  ): Promise<DerivedKeyView>;
}

const ChallengeChip = z.strictObject({ ticketId, deviceId, line, chain });
const DeriveUnitKey = z.strictObject({
  deviceId,
  purpose: z.string().regex(/^[a-z0-9][a-z0-9-]{0,23}$/, '1 to 24 of a-z 0-9 -'),
  certificate: pemOrBase64,
  recipient,
  proof: bytes(1024),
});

/** Challenges to chips, and derived keys. */
export function unitWayRoutes(api: FastifyInstance, domain: UnitWaysDomain, { read, caller }: Reading): void {
  api.post('/chips', async (request) => {
    const unit = await read(request, () => {
      const body = checkBody(ChallengeChip, request.body);
      return { ...body, chain: certificates(body.chain) };
    });
    return domain.challengeChip(caller(request), unit);
  });
  api.post('/unit-keys', async (request) => {
    const asked = await read(request, () => {
      const body = checkBody(DeriveUnitKey, request.body);
      const [certificate] = certificates(body.certificate);
      if (certificate === undefined) throw malformed('certificate');
      return { ...body, certificate, recipient: spkiBytes(body.recipient) };
    });
    return domain.deriveUnitKey(caller(request), asked);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const UNIT_WAY_ROUTES = [
  ['POST', '/api/v1/chips {ticketId, deviceId, line, chain}', 'unit.provision'],
  ['POST', '/api/v1/unit-keys {deviceId, purpose, certificate, recipient, proof}', 'unit.provision'],
] as const;

const malformed = (field: string, cause?: unknown): KeysteadError =>
  new KeysteadError('request.malformed', { field, seen: 'neither PEM nor base64', cause });

function certificates(text: string): DerCertificate[] {
  try {
    const pem = fromPem('CERTIFICATE', text) as DerCertificate[];
    return pem.length > 0 ? pem : [fromBase64(text) as DerCertificate];
  } catch (cause) {
    throw malformed('chain', cause);
  }
}

function spkiBytes(text: string): Uint8Array {
  try {
    return fromPem('PUBLIC KEY', text)[0] ?? fromBase64(text);
  } catch (cause) {
    throw malformed('recipient', cause);
  }
}
