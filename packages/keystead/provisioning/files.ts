import { durableWriteAll } from '../files/durable.ts';
import type { Store } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { Rounds } from './rounds.ts';

const PAGE = 256;

/** Those who ask at once are served together, and no file is written twice. */
const recordRounds = new WeakMap<Store, Rounds>();
const evidenceRounds = new WeakMap<Store, Rounds>();

/**
 * Writes every provisioning record that is not yet a file: `<deviceId>.yaml` and `<deviceId>.yaml.sig`, durable
 * before the unit is answered. What a crash left out is written by the next call. REQ-KEY-PROV-02
 * @throws Error of node:fs.
 */
export function exportRecords(deps: ProvisioningDeps): Promise<void> {
  return roundsOf(recordRounds, deps.store).whole(async () => {
    const { store, clock, recordsDirectory } = deps;
    for (;;) {
      const rows = store.read((records) => records.unexportedRecords(PAGE));
      if (rows.length === 0) return;
      const files = rows.flatMap(({ deviceId, record, signature }) => pair(`${deviceId}.yaml`, record, signature));
      await durableWriteAll(recordsDirectory, new Map(files), 0o644);
      await store.commit((tx) => {
        for (const { deviceId, signature } of rows) tx.recordExported(deviceId, signature, clock.now().getTime());
      });
    }
  });
}

/** The same for evidence: `<deviceId>.decommission.yaml` and `.sig`. @throws Error of node:fs. */
export function exportEvidence(deps: ProvisioningDeps): Promise<void> {
  return roundsOf(evidenceRounds, deps.store).whole(async () => {
    const { store, clock, evidenceDirectory } = deps;
    for (;;) {
      const rows = store.read((records) => records.unexportedEvidence(PAGE));
      if (rows.length === 0) return;
      const files = rows.flatMap(({ deviceId, document, signature }) =>
        pair(`${deviceId}.decommission.yaml`, document, signature),
      );
      await durableWriteAll(evidenceDirectory, new Map(files), 0o644);
      await store.commit((tx) => {
        for (const { deviceId } of rows) tx.evidenceExported(deviceId, clock.now().getTime());
      });
    }
  });
}

const pair = (name: string, document: string, signature: Uint8Array): [string, Uint8Array | string][] => [
  [name, document],
  [`${name}.sig`, signature],
];

function roundsOf(all: WeakMap<Store, Rounds>, store: Store): Rounds {
  const rounds = all.get(store) ?? new Rounds();
  all.set(store, rounds);
  return rounds;
}
