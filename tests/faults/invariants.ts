import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64 } from '@keystead/core/bytes';
import { type KeyStep, replayKey } from '@keystead/core/lifecycle';
import { verifyLogFiles } from 'keystead/audit/index.ts';
import { logKeys } from 'keystead/verify/log-keys.ts';
import type { Acknowledged } from './acknowledged.ts';
import type { Records } from './records.ts';
import type { Rig } from './rig.ts';

const idOf = (issuer: unknown, serial: unknown): string => `${String(issuer)} ${String(serial).toLowerCase()}`;

/**
 * What must be true of the records at every moment, however often the services were killed: nothing that was
 * acknowledged is lost, no certificate is without its one audit entry, no entry without its certificate, no key and
 * no device stands there twice.
 */
export function checkRecords(records: Records, acknowledged: readonly Acknowledged[]): void {
  const { certificates, entries, units, devices } = records;
  const stored = new Map(certificates.map((row) => [toBase64(row.der as Uint8Array), row]));
  for (const one of acknowledged) {
    const row = stored.get(one.certificate);
    assert.ok(row, `a certificate of ${one.device} (${one.profile}) was given out and is not in the records`);
    assert.equal(row.device, one.device);
    assert.equal(row.profile, one.profile);
  }

  const issued = entries.filter((entry) => entry.type === 'certificate.issued');
  const inLog = issued.map((entry) => idOf(entry.subject.issuer, entry.subject.serial));
  const inTable = certificates.map((row) => idOf(row.issuer, row.serial));
  assert.equal(new Set(inLog).size, inLog.length, 'a certificate has two certificate.issued entries');
  assert.deepEqual(inLog.toSorted(), inTable.toSorted(), 'certificates and their audit entries are not the same');

  assert.equal(new Set(certificates.map((row) => row.spki)).size, certificates.length, 'a key was certified twice');
  // REQ-KEY-POL-01: no key is without its record, and no state without the history that leads to it.
  for (const row of certificates) {
    const hash = String(row.spki).toLowerCase();
    assert.ok(records.keys.has(hash), `the key of ${row.device} (${row.profile}) is not in the inventory: ${hash}`);
  }
  for (const { id, state } of records.keyRows) {
    const events = records.keyEvents.filter((event) => event.id === id);
    assert.equal(replayKey(events.map(({ event, at }) => ({ event, at }) as KeyStep)).state, state, String(id));
    for (const { seq } of events) {
      const entry = entries[Number(seq)];
      assert.ok(
        entry?.type.startsWith('key.') && entry.subject.key === id,
        `${id}: entry ${seq} tells of something else`,
      );
    }
  }
  const told = entries.filter(({ type }) => type === 'key.generated' || type === 'key.recorded');
  assert.deepEqual(told.map(({ subject }) => subject.key).toSorted(), records.keyRows.map(({ id }) => id).toSorted());

  const idevids = certificates.filter((row) => row.profile === 'idevid').map((row) => row.device);
  assert.equal(new Set(idevids).size, idevids.length, 'a device has two IDevIDs');
  assert.deepEqual(idevids.toSorted(), devices.map((row) => row.device).toSorted());
  assert.deepEqual(units.map((row) => row.device).toSorted(), devices.map((row) => row.device).toSorted());
  const provisioned = entries.filter((entry) => entry.type === 'device.provisioned');
  assert.deepEqual(provisioned.map((entry) => entry.subject.device).toSorted(), idevids.toSorted());

  entries.forEach((entry, index) => {
    assert.equal(entry.seq, index, 'a number is missing in the audit log');
    if (index > 0) assert.ok(entry.time >= (entries[index - 1]?.time ?? ''), `entry ${index} goes back in time`);
  });
}

/** What must be true when the services have ended: keyd's own journal, the quotas and the published log agree. */
export async function checkAtRest(rig: Rig, quotas: ReadonlyMap<string, number>): Promise<void> {
  const { layout } = rig;
  const records = rig.records();
  const journal = readFileSync(join(layout.keyd, 'journal'), 'utf8').split('\n').filter(Boolean);
  const signed = journal.map((line) => JSON.parse(line)).filter((entry) => entry.kind === 'certificate');
  const known = new Set([...records.certificates, ...records.orphans].map((row) => idOf(row.issuer, row.serial)));
  for (const entry of signed) {
    const found = known.has(idOf(entry.issuer, entry.serial));
    assert.ok(found, `keyd signed ${entry.profile} ${entry.serial} of ${entry.subject}, which nobody has written down`);
  }
  const inJournal = new Set(signed.map((entry) => idOf(entry.issuer, entry.serial)));
  for (const row of records.certificates) {
    const id = idOf(row.issuer, row.serial);
    assert.ok(inJournal.has(id), `${id} stands in the records and keyd never signed it`);
  }
  const abandoned = records.orphans.filter((row) => row.fate === 'abandoned');
  const told = records.entries.filter((entry) => entry.type === 'certificate.abandoned');
  assert.deepEqual(
    told.map((entry) => idOf(entry.subject.issuer, entry.subject.serial)).toSorted(),
    abandoned.map((row) => idOf(row.issuer, row.serial)).toSorted(),
  );

  for (const [ticket, quota] of quotas) {
    const recorded = records.devices.filter((row) => row.ticket === ticket).length;
    assert.ok(recorded <= quota, `${recorded} units were provisioned on ${ticket} for ${quota}`);
    const units = new Set(signed.filter((entry) => entry.ticket?.id === ticket).map((entry) => entry.subject));
    assert.ok(units.size <= quota, `keyd signed for ${units.size} units on ${ticket} for ${quota}`);
  }
  const owners = new Map<string, string>();
  for (const entry of signed) {
    const owner = owners.get(entry.spkiSha256) ?? entry.subject;
    assert.equal(owner, entry.subject, 'two devices were certified for one key');
    owners.set(entry.spkiSha256, owner);
  }
  for (const unit of records.units) {
    const path = join(layout.records, `${unit.device}.yaml`);
    assert.ok(existsSync(path), `${path} is missing`);
    assert.equal(readFileSync(path, 'utf8'), unit.record);
  }

  const report = await verifyLogFiles({
    dir: layout.log,
    vkeys: logKeys(layout),
    keydLeaves: join(layout.keyd, 'leaves'),
  });
  assert.equal(report.verdict, 'proven', JSON.stringify(report.findings));
  assert.equal(report.entries.checked, records.entries.length, 'the published log ends before the records do');
}
