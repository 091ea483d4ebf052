/** Where a request for a firmware signature stands; packages/keystead/signing/states.ts has the steps. */
export type SigningState = 'draft' | 'waiting' | 'approved' | 'signed' | 'refused' | 'expired' | 'withdrawn';

/** A request for a signature of an image. The image itself lies beside the database, by its hash. */
export interface SigningRequestTable {
  id: string;
  state: SigningState;
  /** The order as people sign it, canonical JSON. */
  order_text: string;
  order_sha256: Uint8Array;
  product: string;
  environment: string;
  target: string;
  version: string;
  format: string;
  image_sha256: Uint8Array;
  /** The subject that the signature depends on, by its hash: it lies beside the image. */
  subject_sha256: Uint8Array;
  /** What the format read in the image, JSON, for people. */
  reading: string;
  /** The statements as they came, a JSON array, the proposal first. */
  statements: string;
  /** Who submitted it: `operator:<name>` or `workload:<subject>`. */
  actor: string;
  request_id: string;
  /** The first time at which a statement ends; null before the proposal. */
  expires_at: number | null;
  /** Of a refusal: the error's code and what it names. */
  refusal: string | null;
  result_sha256: Uint8Array | null;
  result_bytes: number | null;
  created_at: number;
  changed_at: number;
}
