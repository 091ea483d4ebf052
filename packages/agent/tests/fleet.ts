import type { DerCertificate } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { deviceIdOf, parseCsr, verifyProofOfPossession } from '@keystead/core/x509';
import { TestCa, USAGE } from './test-ca.ts';

const DAY = 86_400_000;

/** The authorities of a fleet, made by the test, on a simulated clock. */
export class Fleet {
  readonly clock: SimulatedClock;
  readonly root: TestCa;
  readonly manufacturing: TestCa;
  readonly operational: TestCa;
  readonly server: TestCa;
  readonly start: Date;
  readonly end: Date;

  constructor(now = new Date('2026-03-01T12:00:00Z')) {
    this.clock = new SimulatedClock(now);
    this.start = new Date(now.getTime() - DAY);
    this.end = new Date(now.getTime() + 3650 * DAY);
    this.root = TestCa.root('Test Root', this.start, this.end);
    this.manufacturing = this.root.below('Test Manufacturing CA');
    this.operational = this.root.below('Test Operational CA');
    this.server = this.root.below('Test Server CA');
  }
}

/** Issues for a device's request: an IDevID without end, or an LDevID of `seconds`; leaf first. */
export function deviceCertificate(
  fleet: Fleet,
  purpose: 'idevid' | 'ldevid',
  csrDer: Uint8Array,
  options: { seconds?: number; ocspUrl?: string; extKeyUsage?: readonly string[] } = {},
): DerCertificate[] {
  const csr = parseCsr(csrDer);
  verifyProofOfPossession(csr);
  const san = csr.requested.subjectAltName ?? [];
  const ca = purpose === 'idevid' ? fleet.manufacturing : fleet.operational;
  const now = fleet.clock.now();
  const leaf = ca.issue({
    subject: csr.subject,
    spki: csr.spki,
    notBefore: now,
    notAfter: purpose === 'idevid' ? fleet.end : new Date(now.getTime() + (options.seconds ?? 90) * 1000),
    san: [[6, `urn:keystead:device:${deviceIdOf(san) ?? 'nobody'}`]],
    extKeyUsage: options.extKeyUsage ?? [USAGE.clientAuth],
    ocspUrl: options.ocspUrl,
  });
  return [leaf, ...ca.chain];
}
