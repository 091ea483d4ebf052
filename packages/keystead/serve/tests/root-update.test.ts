import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { ServedHierarchy } from '../served-hierarchy.ts';

type Trust = ConstructorParameters<typeof ServedHierarchy>[0];
const der = (octet: number): DerCertificate => Uint8Array.of(0x30, 1, octet) as DerCertificate;

test('who has an old root is led to the one after it, and so to the one in use; that one and strangers have no update', () => {
  const change = (role: 'root' | 'signing-root', old: number) => ({
    role,
    certificates: { old: der(old), newWithOld: der(old + 1), oldWithNew: der(old + 2) },
  });
  const rollovers = [change('root', 10), change('signing-root', 20), change('root', 30)];
  // What else keyd tells has no part in it.
  const trust: Partial<Record<keyof Trust, unknown>> = { rollovers, certificates: { root: der(50) } };
  const hierarchy = new ServedHierarchy(trust as Trust, new SimulatedClock(new Date('2026-03-01T00:00:00Z')));
  assert.deepEqual(hierarchy.successorOf(der(10)), { newWithNew: der(30), newWithOld: der(11), oldWithNew: der(12) });
  assert.deepEqual(hierarchy.successorOf(der(30)), { newWithNew: der(50), newWithOld: der(31), oldWithNew: der(32) });
  for (const other of [50, 20, 99]) assert.equal(hierarchy.successorOf(der(other)), undefined);
});
