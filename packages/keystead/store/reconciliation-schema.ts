/** A consignment that headquarters has taken in, with the receipt that it gave. */
export interface ConsignmentTable {
  factory: string;
  number: number;
  /** Of the consignment's payload. */
  sha256: Uint8Array;
  document: string;
  receipt: string;
  taken_at: number;
}

/** Where a unit stands that contradicted another. */
export type QuarantineState = 'open' | 'released' | 'rejected';

/** A unit that is kept out of the records of devices until operators have decided. */
export interface QuarantinedUnitTable {
  factory: string;
  serial: Uint8Array;
  device_id: string;
  spki_sha256: Uint8Array;
  ticket_id: string;
  /** The unit as the consignment tells of it, JSON. */
  unit: string;
  /** As the receipt names them, JSON. */
  conflicts: string;
  /** Null where nobody was given its certificate. */
  certificate: Uint8Array | null;
  record: string | null;
  signature: Uint8Array | null;
  ticket: string | null;
  state: QuarantineState;
  found_at: number;
  changed_at: number;
}

/** At a factory node: consignments on their way to headquarters. */
export interface OutboxTable {
  number: number;
  sha256: Uint8Array;
  document: string;
  units: number;
  made_at: number;
  /** Null until headquarters has taken it. */
  receipt: string | null;
  settled_at: number | null;
}
