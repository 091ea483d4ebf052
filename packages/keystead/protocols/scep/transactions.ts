import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { ScepMessage } from './message.ts';

/** A request that waits for an operator, as a poll finds it again. */
export interface Waiting {
  readonly authorisationId: string;
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
}

interface Held extends Waiting {
  readonly key: string;
}

/** Strangers can make none of these: each has passed its authorisation, which bounds how many may wait. */
const MOST_WAITING = 4096;
/** Nonces of messages whose signature was verified. */
const MOST_NONCES = 16_384;

/**
 * Transactions that wait, and the nonces that were seen. In memory alone: a poll is encrypted to the certificate of the
 * RA, which does not outlive serve either, so whoever waits across a restart begins anew with the same request, and the
 * records know that one.
 */
export class Transactions {
  readonly #waiting = new Map<string, Held>();
  readonly #nonces = new Map<string, string>();

  /**
   * A nonce belongs to one message. The very same message may come again, for its answer may have been lost; whatever it
   * asks for is then the same again.
   * @throws KeysteadError `scep.replayed` for another message with the nonce of an earlier one.
   */
  requireFresh({ senderNonce, signer }: ScepMessage, der: Uint8Array): void {
    const nonce = `${spkiSha256(signer.spki)} ${toHex(senderNonce)}`;
    const hash = toHex(sha256(der));
    const before = this.#nonces.get(nonce);
    if (before !== undefined && before !== hash) throw new KeysteadError('scep.replayed', { field: 'senderNonce' });
    if (before === undefined) bounded(this.#nonces, MOST_NONCES).set(nonce, hash);
  }

  /**
   * Whether a first request may have this transaction: it is nobody else's, and no other request's.
   * @throws KeysteadError `scep.transaction`.
   */
  requireOwn({ transactionId, signer }: ScepMessage, csr: Uint8Array): void {
    const held = this.#waiting.get(transactionId);
    if (held === undefined) return;
    if (held.key === spkiSha256(signer.spki) && Buffer.compare(held.csr, csr) === 0) return;
    throw new KeysteadError('scep.transaction', { field: 'transactionID', seen: transactionId });
  }

  wait({ transactionId, signer }: ScepMessage, waiting: Waiting): void {
    bounded(this.#waiting, MOST_WAITING).set(transactionId, { ...waiting, key: spkiSha256(signer.spki) });
  }

  /** What waits under this transaction and was asked for with this key. @throws KeysteadError `scep.certificate-unknown`. */
  waiting({ transactionId, signer }: ScepMessage): Waiting {
    const held = this.#waiting.get(transactionId);
    if (held !== undefined && held.key === spkiSha256(signer.spki)) return held;
    throw new KeysteadError('scep.certificate-unknown', { field: 'transactionID', seen: transactionId });
  }

  end({ transactionId }: ScepMessage): void {
    this.#waiting.delete(transactionId);
  }
}

/** Makes room for one more: the oldest goes, for a Map keeps the order in which keys were put in. */
function bounded<V>(map: Map<string, V>, most: number): Map<string, V> {
  for (const oldest of map.size >= most ? map.keys() : []) {
    map.delete(oldest);
    break;
  }
  return map;
}
