/** Enrolment authorisations, as operators signed them. */
export interface AuthorisationTable {
  id: string;
  /** The signed document, byte for byte as it came. */
  document: string;
  signer: string;
  /** The secret that was given out with it, sealed under a key that is not in the database; null for an approval. */
  sealed_secret: Uint8Array | null;
  not_after: number;
  created_at: number;
  withdrawn_at: number | null;
}

/** Where a request that needs an operator's approval stands. `issued` has its certificate. */
export type RequestState = 'waiting' | 'approved' | 'refused' | 'issued';

export interface EnrolmentRequestTable {
  id: string;
  authorisation_id: string;
  csr_sha256: Uint8Array;
  /** PKCS#10 or CRMF, DER. */
  csr: Uint8Array;
  /** For whom, JSON: `{"deviceId":…}` or `{"hosts":[…]}`. */
  subject: string;
  way: string;
  state: RequestState;
  requested_at: number;
  decided_at: number | null;
  decided_by: string | null;
  /** The approval, an authorisation for this one request; null while waiting and when refused. */
  approval_id: string | null;
  /** Why it was refused. */
  reason: string | null;
}
