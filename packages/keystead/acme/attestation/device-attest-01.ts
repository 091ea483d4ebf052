import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import type { Attest } from '../authorizations.ts';
import type { AcmeDeps } from '../deps.ts';
import { readAttestationObject } from './attestation-object.ts';
import { verifyIdevidStatement } from './idevid.ts';
import { verifyTpmStatement } from './tpm.ts';

/** draft-ietf-acme-device-attest-10 section 5: members that are not known are passed over. */
const ResponseSchema = z.object({
  attObj: z
    .string()
    .min(1)
    .max(24 * 1024),
});

/** Judges the statement of a device. Nothing of it is kept but the hash of the key (section 7.2 of the draft). */
export function deviceAttest01(deps: Pick<AcmeDeps, 'access' | 'clock' | 'attestationRoots'>): Attest {
  return async (deviceId, { payload, keyAuthorization, requestId }) => {
    const response = ResponseSchema.safeParse(payload);
    if (!response.success) throw new KeysteadError('acme.attestation-refused', { field: 'attObj', seen: 'missing' });
    const { attObj } = response.data;
    if (!/^[A-Za-z0-9_-]+$/.test(attObj)) {
      throw new KeysteadError('acme.attestation-refused', { field: 'attObj', seen: 'not base64url without padding' });
    }
    const { fmt, attStmt } = readAttestationObject(new Uint8Array(Buffer.from(attObj, 'base64url')));
    const { access, clock, attestationRoots: roots } = deps;
    const how = `device-attest-01 ${fmt}`;
    if (fmt === 'tpm') {
      const now = clock.now();
      return { spkiSha256: verifyTpmStatement(attStmt, { deviceId, keyAuthorization, roots, now }), how };
    }
    return { spkiSha256: await verifyIdevidStatement(attStmt, { deviceId, keyAuthorization, requestId, access }), how };
  };
}
