import { FIRMWARE_FORMATS } from '../firmware/index.ts';
import type { FirmwarePolicy } from './firmware/policy.ts';
import type { TufPolicy } from './firmware/tuf.ts';
import type { TrustPolicy } from './trust/policy.ts';

const HOUR = 3600;
const DAY = 86_400;

/** Trust bundles as a demonstration has them, where one is asked for: short, so that a refresh can be watched. */
export const DEMO_TRUST: TrustPolicy = {
  fleet: 'demo',
  keys: [{ id: 'first', algorithm: 'P-256' }],
  bundle: { seconds: 7 * DAY, refreshPercent: 50, awaySeconds: 30 * DAY, maxBytes: 4096 },
  filter: { issuers: ['operational', 'server'], seconds: 7 * DAY, everySeconds: HOUR, mostDeltas: 24 },
  approvals: 1,
  roles: ['policy-administrator', 'approver'],
  strand: { approvals: 2, roles: ['policy-administrator', 'approver'] },
};

/** One key for all there is; verity bundles want one that signs no files. */
const DEMO_FORMATS = FIRMWARE_FORMATS.filter((name) => name !== 'rauc-verity');

/** The firmware of the demonstration: one product, a key for production and one for development. */
export const DEMO_FIRMWARE: FirmwarePolicy = {
  products: [
    {
      product: 'KS-PUMP-1',
      environments: {
        production: {
          keys: ['pump-1'],
          formats: [...DEMO_FORMATS],
          approvals: 1,
          roles: ['approver'],
          rollback: { approvals: 2, roles: ['approver', 'policy-administrator'] },
        },
        development: { keys: ['pump-1-dev'], formats: [...DEMO_FORMATS], approvals: 1, roles: ['approver'] },
      },
    },
  ],
  keys: [
    {
      id: 'pump-1',
      algorithm: 'P-256',
      product: 'KS-PUMP-1',
      environment: 'production',
      formats: [...DEMO_FORMATS],
      maxSignatures: 10_000,
    },
    {
      id: 'pump-1-dev',
      algorithm: 'P-256',
      product: 'KS-PUMP-1',
      environment: 'development',
      formats: [...DEMO_FORMATS],
    },
  ],
};

/** The update repository of the demonstration. People found it: its first root comes into the policy when there is one. */
export const DEMO_TUF: TufPolicy = {
  repositories: [
    {
      repository: 'ks-pump-1',
      keys: [{ id: 'ks-pump-1-online', algorithm: 'P-256' }],
      snapshotSeconds: 7 * DAY,
      timestampSeconds: DAY,
    },
  ],
};
