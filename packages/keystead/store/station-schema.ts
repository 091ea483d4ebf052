/** Who was signed on where. The statement itself is kept: it is the evidence for what the records name. */
export interface StationSignOnTable {
  /** SHA-256 of the statement's payload. */
  sha256: Uint8Array;
  station: string;
  operator: string;
  line: string;
  /** As the operator signed it. */
  text: string;
  not_before: number;
  not_after: number;
  signed_on_at: number;
  /** Null while it holds, or where it ended by itself. */
  ended_at: number | null;
  ended_by: string | null;
}

/** What became of each unit that a station brought, for its counts and for whoever asks again. */
export interface StationResultTable {
  request_id: string;
  station: string;
  at: number;
  device_id: string;
  /** 1 for a pass, 0 for a fail. What is to be tried again is no result. */
  passed: number;
  /** The code that the rig was told. */
  code: number;
  sign_on_sha256: Uint8Array | null;
}
