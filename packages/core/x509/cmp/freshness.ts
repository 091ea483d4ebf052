import { KeysteadError } from '../../errors/index.ts';
import { CMP_NONCE_OCTETS, type CmpHeader } from './header.ts';

/** How far the time of a message may be from that of its arrival. Devices in the field have clocks that drift. */
export const CMP_TIME_TOLERANCE_SECONDS = 600;

/**
 * The time of a message, which is recommended and not required (RFC 9483 section 3.1), must be about now where it stands:
 * an old message that somebody kept is refused. @throws KeysteadError `cmp.time-refused`.
 */
export function requireMessageTime({ messageTime }: CmpHeader, now: Date): void {
  if (messageTime === undefined) return;
  const seconds = Math.abs(messageTime.getTime() - now.getTime()) / 1000;
  if (seconds <= CMP_TIME_TOLERANCE_SECONDS) return;
  throw new KeysteadError('cmp.time-refused', {
    field: 'messageTime',
    seen: `${messageTime.toISOString()}, now ${now.toISOString()}`,
  });
}

/** The identifiers without which a message cannot be answered. @throws KeysteadError `cmp.header-incomplete`. */
export function requireIdentifiers({ transactionId, senderNonce }: CmpHeader): {
  readonly transactionId: Uint8Array;
  readonly senderNonce: Uint8Array;
} {
  if (transactionId === undefined || transactionId.length < CMP_NONCE_OCTETS)
    throw incomplete('transactionID', transactionId);
  if (senderNonce === undefined || senderNonce.length < CMP_NONCE_OCTETS) throw incomplete('senderNonce', senderNonce);
  return { transactionId, senderNonce };
}

const incomplete = (field: string, seen: Uint8Array | undefined): KeysteadError =>
  new KeysteadError('cmp.header-incomplete', { field, seen: seen === undefined ? 'none' : `${seen.length} octets` });
