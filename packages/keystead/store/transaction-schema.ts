import type { IssuerName } from '@keystead/core/lifecycle';

/**
 * Where an enrolment of several messages stands. It waits for an operator; or its certificate is `issued` and waits to be
 * confirmed; `rejected` by an operator or by its requester, or `lapsed` for want of a confirmation.
 */
export type TransactionState = 'waiting' | 'issued' | 'confirmed' | 'rejected' | 'lapsed';

export interface EnrolmentTransactionTable {
  /** As the requester chose it. */
  id: Uint8Array;
  /** Who began it; nobody else goes on with it. */
  requester: string;
  /** How it was asked, in the words of the protocol. */
  kind: string;
  cert_req_id: number;
  format: string;
  request: Uint8Array;
  request_sha256: Uint8Array;
  state: TransactionState;
  issuer: IssuerName | null;
  serial: Uint8Array | null;
  /** The nonce of our last answer, which the next message names, and of the one before, which may have been lost. */
  nonce: Uint8Array;
  previous_nonce: Uint8Array | null;
  /** When the certificate is revoked unless it was confirmed, milliseconds since 1970. */
  confirm_until: number | null;
  changed_at: number;
}
