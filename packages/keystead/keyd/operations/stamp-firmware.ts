import { type DerCertificate, fromBase64, toBase64 } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { FirmwareTimestamp } from '@keystead/core/lifecycle';
import { TSA_KEY, tsaProfile } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { signTimestamp } from './sign-timestamp.ts';

/** The TSA stamps nothing, and will not in a moment. */
const STOPPED: ReadonlySet<string> = new Set(['tsp.off', 'key.use-forbidden', 'key.cryptoperiod-ended']);

/**
 * Whether a time stamp that is required can be had: before an order counts, and before anything is signed.
 * @throws KeysteadError `signing.timestamp-waits`.
 */
export async function requireStampable(keyd: KeydContext, wish: FirmwareTimestamp): Promise<void> {
  if (wish !== 'required') return;
  try {
    const now = keyd.stampTime();
    if (tsaProfile(keyd.policy) === undefined || !keyd.ledger.has(TSA_KEY))
      throw new KeysteadError('tsp.off', { field: TSA_KEY });
    keyd.ledger.require(TSA_KEY, 'protect', now);
    await keyd.tsa.at(keyd, now);
  } catch (error) {
    throw waits(TSA_KEY, error);
  }
}

/**
 * Stamps the values of the signatures of an order (RFC 3161), so that they outlive the certificates of their keys: who
 * verifies later judges a certificate at the time of the token (RFC 5126 section 4.4.1). The tokens are in the journal
 * before anybody has them, and the same order again has the same ones. A token of after the end of the certificate would
 * say nothing, and is not made. The front end has no say in it: what policy requires is here or nothing is given out.
 * @param wish of the policy in force now. `required`: every signature has its token when this returns. `wanted`: it may have
 *   none where the TSA is stopped, or the certificate has ended.
 * @throws KeysteadError `signing.timestamp-waits` where none can be had now and one is required, or the TSA is not stopped;
 *   `signing.timestamp-late` where one is required and none can be had any more.
 */
export async function stampFirmware(
  keyd: KeydContext,
  orderSha256: string,
  wish: FirmwareTimestamp,
  requestId: string,
): Promise<void> {
  const taken = keyd.state.firmware.of(orderSha256);
  if (taken?.signed === undefined) throw new KeysteadError('internal.unexpected', { field: 'firmware' });
  if (wish === 'none') return;
  const tokens: { key: string; token: string }[] = [];
  for (const { key, certificate, signature } of taken.signed.signatures) {
    if (taken.stamps?.has(key) === true) continue;
    try {
      const token = await stamp(
        keyd,
        { key, certificate: fromBase64(certificate) as DerCertificate, signature },
        requestId,
      );
      tokens.push({ key, token: toBase64(token) });
    } catch (error) {
      const late = error instanceof KeysteadError && error.code === 'signing.timestamp-late';
      const stopped = error instanceof KeysteadError && STOPPED.has(error.code);
      if (wish === 'wanted' && (late || stopped)) continue;
      throw late ? error : waits(key, error);
    }
  }
  if (tokens.length === 0) return;
  const entry = { kind: 'firmware-stamp' as const, time: keyd.now().toISOString(), orderSha256, tokens };
  await keyd.journal.append(entry);
  keyd.state.firmware.stamp(entry);
}

async function stamp(
  keyd: KeydContext,
  { key, certificate, signature }: { key: string; certificate: DerCertificate; signature: string },
  requestId: string,
): Promise<Uint8Array> {
  const { notAfter } = readCertificate(certificate);
  const late = (time: Date): KeysteadError => {
    const seen = `${time.toISOString()}, and the certificate of ${key} ended ${notAfter.toISOString()}`;
    return new KeysteadError('signing.timestamp-late', { field: key, seen });
  };
  const now = keyd.stampTime();
  if (now > notAfter) throw late(now);
  const imprint = sha256(fromBase64(signature));
  const { token, time } = await signTimestamp(keyd, { hash: 'sha256', imprint, certReq: true, requestId });
  if (time > notAfter) throw late(time);
  return token;
}

/** Whatever it is, a clock that went back or a full disk, it is no fault of the order. */
function waits(field: string, cause: unknown): unknown {
  if (!(cause instanceof KeysteadError)) return cause;
  const seen = `${cause.code}${cause.seen === undefined ? '' : `: ${cause.seen.slice(0, 120)}`}`;
  return new KeysteadError('signing.timestamp-waits', { field, seen, cause });
}
