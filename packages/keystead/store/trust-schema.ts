/** A trust bundle that is published. The bytes lie beside the database, by version. Times are milliseconds since 1970. */
export interface TrustBundleTable {
  version: number;
  fleet: string;
  /** Of what is signed in it: by this a device knows the bundle. */
  sha256: Uint8Array;
  issued_at: number;
  expires_at: number;
  filter_sha256: Uint8Array | null;
  /** SHA-256 of the signer's SubjectPublicKeyInfo. */
  signer: Uint8Array;
  /** Which change of the content it holds. */
  change: number;
  /** 1 where the signers of the next bundles are others than those of the one before. */
  signers_changed: number;
  published_at: number;
}

/** What a device said last that it goes by. */
export interface UptakeTable {
  device_id: string;
  bundle_version: number | null;
  bundle_sha256: Uint8Array | null;
  filter_sha256: Uint8Array | null;
  firmware_product: string | null;
  firmware_version: string | null;
  security_counter: number | null;
  reported_at: number;
}
