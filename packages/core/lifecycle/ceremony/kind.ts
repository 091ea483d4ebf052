/** What a ceremony is held for. */
export const CEREMONY_KINDS = {
  founding: 'Founding of the hierarchy',
  intermediate: 'Certificate of an issuing CA',
  crl: 'Revocation lists of the roots',
  rollover: 'New key of a root',
  firmware: 'Certificates of firmware keys',
} as const;
export type CeremonyKind = keyof typeof CEREMONY_KINDS;

/** Names of the ceremonies, for schemas. */
export const CEREMONY_KIND_NAMES = Object.keys(CEREMONY_KINDS) as [CeremonyKind, ...CeremonyKind[]];
