import fc from 'fast-check';

/** One change to a byte string: a fault that a line, a memory or an attacker makes. */
type Edit =
  | { readonly kind: 'set'; readonly at: number; readonly octet: number }
  | { readonly kind: 'flip'; readonly at: number; readonly octet: number }
  | { readonly kind: 'insert'; readonly at: number; readonly octets: Uint8Array }
  | { readonly kind: 'remove'; readonly at: number; readonly count: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly count: number }
  | { readonly kind: 'cut'; readonly at: number };

const at = fc.nat({ max: 1 << 20 });
const octet = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0xa0, 0xa3, 0xff));
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at, octet }),
  fc.record({ kind: fc.constant('flip' as const), at, octet: fc.nat(7).map((bit) => 1 << bit) }),
  fc.record({ kind: fc.constant('insert' as const), at, octets: fc.uint8Array({ minLength: 1, maxLength: 6 }) }),
  fc.record({ kind: fc.constant('remove' as const), at, count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at, count: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('cut' as const), at }),
);

function apply(bytes: Uint8Array, change: Edit): Uint8Array {
  const where = bytes.length === 0 ? 0 : change.at % bytes.length;
  switch (change.kind) {
    case 'set':
      return Uint8Array.from(bytes, (value, index) => (index === where ? change.octet : value));
    case 'flip':
      return Uint8Array.from(bytes, (value, index) => (index === where ? value ^ change.octet : value));
    case 'insert':
      return Buffer.concat([bytes.subarray(0, where), change.octets, bytes.subarray(where)]);
    case 'remove':
      return Buffer.concat([bytes.subarray(0, where), bytes.subarray(where + change.count)]);
    case 'repeat':
      return Buffer.concat([bytes.subarray(0, where + change.count), bytes.subarray(where)]);
    case 'cut':
      return bytes.subarray(0, where);
  }
}

/** One of `seeds` with one to four changes. */
export const mutated = (seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 4 }))
    .map(([seed, edits]) => edits.reduce(apply, seed));
