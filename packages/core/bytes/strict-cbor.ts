/**
 * How CBOR (RFC 8949) from outside is read: definite lengths, each key of a map once, the shortest heads, and no values
 * that JSON would not have. Options of cborg; whoever wants the one deterministic encoding (section 4.2.1) encodes what
 * was read again and compares.
 */
export const STRICT_CBOR = {
  strict: true,
  useMaps: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowBigInt: true,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
} as const;
