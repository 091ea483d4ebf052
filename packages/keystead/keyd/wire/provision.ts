import { z } from 'zod';
import { bytes } from '../wire-types.ts';
import { attestationAnswer, keyOrigin, unitAtLine } from './attestation.ts';
import { Issued } from './issued.ts';
import { unitWay } from './unit-ways.ts';

/** One unit of a batch ticket: its IDevID and its provisioning record. */
export const Provision = {
  params: z.strictObject({
    ...unitAtLine,
    csr: bytes(),
    /** The answer to a challenge, where the key is to be attested. */
    attestation: attestationAnswer.optional(),
    /** Another way to a key; beside `attestation` there is none. */
    way: unitWay.optional(),
  }),
  result: Issued.extend({
    /** The provisioning record, YAML, exactly the bytes that are signed. */
    record: z.string(),
    /** ECDSA over the record with SHA-256 by the evidence key, DER. */
    signature: bytes(),
    /** As the record says it. */
    key: keyOrigin,
  }),
};
