import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { generateSoftwareKey, randomBytes } from '@keystead/core/crypto';
import { demoPolicy, type IssuerId } from '@keystead/core/lifecycle';
import { type AppendAudit, RefusalLog } from '../../access/index.ts';
import { appendAudit } from '../../audit/index.ts';
import type { CrlRow, Store } from '../../store/index.ts';
import { certificateRow, insertWithKey, START } from '../../store/tests/bed.ts';
import type { AuthorityDeps } from '../deps.ts';
import { KeyClaims } from '../key-claims.ts';
import { Revocation } from '../revocation.ts';
import { RevocationActs } from '../revocation-acts.ts';
import { CertificateStatus } from '../status.ts';

export const TICKET = 'batch-large';

/** Writes a batch of devices into the records, each with an IDevID and an LDevID, as provisioning and enrolment do. */
export async function fillBatch(store: Store, units: number): Promise<void> {
  const at = START.getTime();
  await store.commit((tx) =>
    tx.insertTicket({
      ticketId: TICKET,
      ...{ text: '{}', signer: 'ada', model: 'PUMP', quota: units, openedBy: 'ada' },
      ...{ notBefore: at, notAfter: at + 1, openedAt: at },
    }),
  );
  const hex = (bytes: number): string => toHex(randomBytes(bytes));
  for (let from = 0; from < units; from += 500) {
    await store.commit((tx) => {
      for (let number = from; number < Math.min(units, from + 500); number += 1) {
        const deviceId = `PUMP-${String(number).padStart(6, '0')}`;
        const idevidSerial = `01${hex(19)}` as Serial;
        tx.insertDevice({
          ...{
            deviceId,
            state: 'enrolled',
            model: 'PUMP',
            ticketId: TICKET,
            idevidSerial,
            keyOrigin: 'proof-of-possession',
          },
          ...{ readmittedAt: null, createdAt: at, changedAt: at },
        });
        const common = { deviceId, notAfter: at + 86_400_000 };
        const idevid = { issuer: 'manufacturing', profile: 'idevid', serial: idevidSerial } as const;
        insertWithKey(
          tx,
          certificateRow({ ...common, ...idevid, spkiSha256: hex(32) as SpkiSha256 }),
          `device:${deviceId}`,
        );
        insertWithKey(tx, certificateRow({ ...common, spkiSha256: hex(32) as SpkiSha256 }), `device:${deviceId}`);
      }
    });
  }
}

/** Revocation over a store alone: no keyd, and CRLs that are only counted. */
export function actsOver(store: Store, changed: () => void = () => {}): { acts: RevocationActs; published: string[] } {
  const clock = new SimulatedClock(new Date(START.getTime() + 60_000));
  const audit: AppendAudit = (tx, event) => appendAudit(tx, event, clock);
  const { spki } = generateSoftwareKey('P-256');
  const published: string[] = [];
  const deps: AuthorityDeps = {
    ...{ store, clock, audit, claims: new KeyClaims(), refusals: new RefusalLog({ store, audit, clock }) },
    policy: demoPolicy({ operators: [{ name: 'ada', roles: ['ca-operator'], spki }], issued: START }),
    // Nothing of it is asked for a batch.
    keyd: {} as AuthorityDeps['keyd'],
    issuers: [],
  };
  const crls = {
    publish: async (issuer: IssuerId): Promise<CrlRow> => {
      published.push(issuer);
      return {
        ...{ list: issuer, issuer, number: 1, bytes: 0, sha256: '' },
        ...{ madeAt: START.getTime(), nextUpdate: START.getTime() },
      };
    },
  };
  const revocation = new Revocation(deps, crls, changed);
  return { acts: new RevocationActs(deps, revocation, new CertificateStatus(deps)), published };
}

export const begin = (acts: RevocationActs) =>
  acts.begin({
    ...{ selector: { ticketId: TICKET }, act: 'revoke', reason: 'privilegeWithdrawn' },
    ...{ actor: { kind: 'operator', id: 'ada' }, requestId: 'recall' },
  });
