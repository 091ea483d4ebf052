import fc from 'fast-check';
import type { DerCertificate } from '../../../bytes/index.ts';
import { ANY_POLICY } from '../../oids.ts';
import {
  altNames,
  END,
  extension,
  type ForgedCertificate,
  forge,
  inhibitAnyPolicy,
  mappings,
  NOW,
  nameConstraints,
  policies,
  policyConstraints,
  START,
  type Wish,
} from '../../tests/forge.ts';

/** A path of certificates that say random things, each signed by the one above it. */
export interface RandomHierarchy {
  readonly root: DerCertificate;
  readonly via: readonly DerCertificate[];
  readonly leaf: DerCertificate;
}

const POLICIES = ['1.2.3.1', '1.2.3.2', ANY_POLICY];
const NAMES = ['DNS:a.example.org', 'DNS:b.example.com', 'email:a@example.org', 'IP:10.0.0.1', 'dir:O=org,CN=x'];
const SUBTREES = ['DNS:example.org', 'email:example.org', 'IP:10.0.0.0/255.0.0.0', 'dir:O=org'];
const some = <T>(values: readonly T[], minLength = 1): fc.Arbitrary<T[]> => fc.subarray([...values], { minLength });
/** Mostly nothing: a path with all faults at once tells nothing. */
const rarely = <T>(arbitrary: fc.Arbitrary<T>, times = 6): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: times, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const caExtensions: fc.Arbitrary<Uint8Array[]> = fc
  .tuple(
    rarely(some(POLICIES), 1).map((ids) => ids && policies(...ids)),
    rarely(fc.tuple(some(SUBTREES, 0), some(SUBTREES, 0)).filter(([a, b]) => a.length + b.length > 0)).map(
      (v) => v && nameConstraints({ permitted: v[0], excluded: v[1] }),
    ),
    rarely(fc.nat(2)).map((n) => (n === undefined ? undefined : policyConstraints(n))),
    rarely(fc.nat(2)).map((n) => (n === undefined ? undefined : inhibitAnyPolicy(n))),
    rarely(fc.constant(0)).map((n) => (n === undefined ? undefined : mappings(['1.2.3.1', '1.2.3.2']))),
    rarely(fc.constant(0), 20).map((n) =>
      n === undefined ? undefined : extension('1.2.3.4', true, Uint8Array.of(5, 0)),
    ),
  )
  .map((list) => list.filter((one): one is Uint8Array => one !== undefined));

const validity = fc.constantFrom(
  ...Array.from({ length: 30 }, () => ({ notBefore: START, notAfter: END })),
  { notBefore: START, notAfter: new Date(NOW.getTime() - 1000) },
  { notBefore: new Date(NOW.getTime() + 1000), notAfter: END },
);

const caWish: fc.Arbitrary<Wish> = fc
  .record({
    name: fc.constantFrom('O=org,CN=1', 'O=org,CN=2', 'O=com,CN=3'),
    pathLength: rarely(fc.nat(1), 3),
    extensions: caExtensions,
    validity,
    keyUsage: fc.constantFrom(...Array.from({ length: 20 }, () => ['keyCertSign', 'cRLSign'] as const), [
      'cRLSign',
    ] as const),
  })
  .map(({ name, validity: times, ...rest }) => ({ subject: name.split(','), ca: true, ...times, ...rest }));

const leafWish: fc.Arbitrary<Wish> = fc
  .record({
    name: fc.constantFrom('O=org,CN=leaf', 'O=com,CN=leaf'),
    names: some(NAMES),
    ids: rarely(some(POLICIES), 1),
    validity,
  })
  .map(({ name, names, ids, validity: times }) => ({
    subject: name.split(','),
    ...times,
    extensions: [altNames(...names), ...(ids === undefined ? [] : [policies(...ids)])],
  }));

/** Hierarchies with one to three CAs below a root that says nothing. */
export const randomHierarchy: fc.Arbitrary<RandomHierarchy> = fc
  .tuple(fc.array(caWish, { minLength: 1, maxLength: 3 }), leafWish)
  .map(([cas, wish]) => {
    const root = forge({ subject: ['CN=root'], ca: true });
    const via: ForgedCertificate[] = [];
    for (const ca of cas) via.push(forge({ ...ca, by: via.at(-1) ?? root }));
    const leaf = forge({ ...wish, by: via.at(-1) ?? root });
    return { root: root.der, via: via.map(({ der }) => der), leaf: leaf.der };
  });
