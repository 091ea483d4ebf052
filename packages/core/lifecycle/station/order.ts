import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { type DocumentKind, type OperatorDocument, signDocumentOf, verifyDocumentOf } from '../operator-document.ts';
import type { Policy } from '../policy.ts';
import type { StatementSigner } from '../signers/proof.ts';
import { siteName, stationName, wholeSecond } from './fields.ts';

/** An order is carried out at once; a day leaves room for a machine that is not on the network. */
const LONGEST_SECONDS = 24 * 3600;
const CLOCK_SKEW_MS = 60_000;

const OrderSchema = z
  .strictObject({
    v: z.literal(1),
    factory: siteName,
    station: stationName,
    /** SHA-256 of the request, PKCS#10 in DER, hex: the order is for one key. */
    csrSha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex'),
    notBefore: wholeSecond,
    notAfter: wholeSecond,
  })
  .refine((one) => one.notBefore < one.notAfter, { path: ['notAfter'], message: 'must be after notBefore' });

/**
 * That a station of this name shall have a certificate for this key. Operators' certificates are public, so it is their
 * signature that keyd asks for: a front end makes itself no station.
 */
export type StationOrder = z.infer<typeof OrderSchema>;

const KIND: DocumentKind<StationOrder> = {
  context: 'keystead station order v1\n',
  name: 'order',
  schema: OrderSchema,
  codes: {
    malformed: 'station-order.malformed',
    signerUnknown: 'station-order.signer-unknown',
    signerForbidden: 'station-order.signer-forbidden',
    signatureInvalid: 'station-order.signature-invalid',
  },
};

/** Signs an order. Returns one line of JSON. REQ-KEY-PROV-01 @throws KeysteadError `station-order.malformed`. */
export const signStationOrder = (
  draft: Omit<StationOrder, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/**
 * Verifies an order: by an operator who may enrol stations, good now, and for this very request.
 * @throws KeysteadError `station-order.malformed`, `.signer-unknown`, `.signer-forbidden`, `.signature-invalid`,
 *   `.expired`, `.differs`.
 */
export function verifyStationOrder(
  text: string,
  policy: Policy,
  asked: { readonly factory: string; readonly station: string; readonly csrSha256: string; readonly now: Date },
): OperatorDocument<StationOrder> {
  const signed = verifyDocumentOf(KIND, text, 'station.enrol', policy);
  const { notBefore, notAfter } = signed.content;
  const ms = asked.now.getTime();
  const [from, to] = [Date.parse(notBefore), Date.parse(notAfter)];
  if (ms + CLOCK_SKEW_MS < from || ms >= to || to - from > LONGEST_SECONDS * 1000) {
    throw new KeysteadError('station-order.expired', { field: 'notAfter', seen: `${notBefore} to ${notAfter}` });
  }
  for (const part of ['factory', 'station', 'csrSha256'] as const) {
    if (signed.content[part] === asked[part]) continue;
    const seen = `${signed.content[part]} ordered, ${asked[part]} asked for`;
    throw new KeysteadError('station-order.differs', { field: part, seen });
  }
  return signed;
}
