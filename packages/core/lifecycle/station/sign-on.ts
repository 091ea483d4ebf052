import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import {
  type DocumentKind,
  type OperatorDocument,
  parseDocumentOf,
  signDocumentOf,
  verifyDocumentOf,
} from '../operator-document.ts';
import type { Policy } from '../policy.ts';
import type { StatementSigner } from '../signers/proof.ts';
import { lineName, siteName, stationName, wholeSecond } from './fields.ts';
import { stationRules } from './rules.ts';

const SignOnSchema = z
  .strictObject({
    v: z.literal(1),
    /** Chosen by the signer, 128 random bits in hex: two sign-ons of one second are two. */
    id: z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 hex digits'),
    factory: siteName,
    station: stationName,
    line: lineName,
    /** From when to when, UTC, whole seconds. */
    notBefore: wholeSecond,
    notAfter: wholeSecond,
  })
  .refine((one) => one.notBefore < one.notAfter, { path: ['notAfter'], message: 'must be after notBefore' });

/**
 * That an operator stands at a station and answers for what is made there. keyd goes by it, and by nothing that the
 * front end says of who is at the line.
 */
export type SignOn = z.infer<typeof SignOnSchema>;
export type SignedSignOn = OperatorDocument<SignOn>;

const KIND: DocumentKind<SignOn> = {
  context: 'keystead station sign-on v1\n',
  name: 'sign-on',
  schema: SignOnSchema,
  codes: {
    malformed: 'sign-on.malformed',
    signerUnknown: 'sign-on.signer-unknown',
    signerForbidden: 'sign-on.signer-forbidden',
    signatureInvalid: 'sign-on.signature-invalid',
  },
};

/** The signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

/** Signs a sign-on. Returns one line of JSON. REQ-KEY-PROV-01 @throws KeysteadError `sign-on.malformed`. */
export const signSignOn = (draft: Omit<SignOn, 'v'>, signerName: string, signer: StatementSigner): Promise<string> =>
  signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a sign-on; verifies nothing. @throws KeysteadError `sign-on.malformed`. */
export const parseSignOn = (text: string): SignedSignOn => parseDocumentOf(KIND, text);

/**
 * Verifies who signed on, whether the policy lets them provision units, and that it holds no longer than the policy
 * bears. Whether it holds now is {@link requireSignOnTime}, which is asked for each unit.
 * @throws KeysteadError `sign-on.malformed`, `.signer-unknown`, `.signer-forbidden`, `.signature-invalid`, `.too-long`.
 */
export function verifySignOn(text: string, policy: Policy): SignedSignOn {
  const signed = verifyDocumentOf(KIND, text, 'unit.provision', policy);
  const { notBefore, notAfter } = signed.content;
  const seconds = (Date.parse(notAfter) - Date.parse(notBefore)) / 1000;
  const most = stationRules(policy).maxSignOnSeconds;
  if (seconds > most) {
    throw new KeysteadError('sign-on.too-long', { field: 'notAfter', seen: `${seconds} s of at most ${most}` });
  }
  return signed;
}

/** @throws KeysteadError `sign-on.not-yet-valid`, `sign-on.expired`. */
export function requireSignOnTime({ notBefore, notAfter }: SignOn, now: Date): void {
  if (now.getTime() + CLOCK_SKEW_MS < Date.parse(notBefore)) {
    throw new KeysteadError('sign-on.not-yet-valid', { field: 'notBefore', seen: notBefore });
  }
  if (now.getTime() >= Date.parse(notAfter)) {
    throw new KeysteadError('sign-on.expired', { field: 'notAfter', seen: notAfter });
  }
}

/** That it is about this site and this station. @throws KeysteadError `sign-on.other-factory`, `sign-on.other-station`. */
export function requireSignOnPlace(
  signOn: SignOn,
  place: { readonly factory: string; readonly station: string },
): void {
  if (signOn.factory !== place.factory) {
    const seen = `for ${signOn.factory}, at ${place.factory}`;
    throw new KeysteadError('sign-on.other-factory', { field: 'factory', seen });
  }
  if (signOn.station !== place.station) {
    const seen = `for ${signOn.station}, at ${place.station}`;
    throw new KeysteadError('sign-on.other-station', { field: 'station', seen });
  }
}
