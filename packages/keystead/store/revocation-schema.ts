/** Where an act of revocation stands. `running` is finished at the next start when everything stops in the middle. */
export type RevocationActState = 'proposed' | 'running' | 'done' | 'withdrawn';

/** An act that takes several people, or several transactions. */
export interface RevocationActTable {
  id: string;
  act: string;
  /** As the statements name it, JSON. */
  selector: string;
  reason: string | null;
  invalidity_at: number | null;
  /** Who asked for it: `operator:<name>`. */
  actor: string;
  request_id: string;
  state: RevocationActState;
  /** The list that the statements bind. */
  count: number;
  list_sha256: Uint8Array;
  /** The statements as they came, a JSON array; empty where one operator alone may order it. */
  statements: string;
  expires_at: number | null;
  /** How far the act has come: the last device id or serial that was looked at. */
  cursor: string;
  certificates: number;
  devices: number;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
}
