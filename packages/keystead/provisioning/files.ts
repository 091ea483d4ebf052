import { join } from 'node:path';
import { durableWrite } from '../files/durable.ts';
import type { ProvisioningDeps } from './deps.ts';

const PAGE = 256;

/**
 * Writes every provisioning record that is not yet a file: `<deviceId>.yaml` and `<deviceId>.yaml.sig`, durable
 * before the unit is answered. What a crash left out is written by the next call. REQ-KEY-PROV-02
 * @throws Error of node:fs.
 */
export async function exportRecords(deps: ProvisioningDeps): Promise<void> {
  const { store, clock, recordsDirectory } = deps;
  for (;;) {
    const rows = store.read((records) => records.unexportedRecords(PAGE));
    for (const { deviceId, record, signature } of rows) {
      durableWrite(join(recordsDirectory, `${deviceId}.yaml`), record, 0o644);
      durableWrite(join(recordsDirectory, `${deviceId}.yaml.sig`), signature, 0o644);
    }
    if (rows.length === 0) return;
    await store.commit((tx) => {
      for (const { deviceId } of rows) tx.recordExported(deviceId, clock.now().getTime());
    });
  }
}

/** The same for evidence: `<deviceId>.decommission.yaml` and `.sig`. @throws Error of node:fs. */
export async function exportEvidence(deps: ProvisioningDeps): Promise<void> {
  const { store, clock, evidenceDirectory } = deps;
  for (;;) {
    const rows = store.read((records) => records.unexportedEvidence(PAGE));
    for (const { deviceId, document, signature } of rows) {
      durableWrite(join(evidenceDirectory, `${deviceId}.decommission.yaml`), document, 0o644);
      durableWrite(join(evidenceDirectory, `${deviceId}.decommission.yaml.sig`), signature, 0o644);
    }
    if (rows.length === 0) return;
    await store.commit((tx) => {
      for (const { deviceId } of rows) tx.evidenceExported(deviceId, clock.now().getTime());
    });
  }
}
