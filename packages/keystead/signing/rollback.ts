import { KeysteadError } from '@keystead/core/errors';
import { canonicalVersion, compareVersions, type FirmwareOrder } from '@keystead/core/lifecycle';
import type { SigningReader, SigningRequestRow } from '../store/index.ts';

/** So many of the newest are looked at: keyd, which decides, remembers the highest of all. */
const LOOKED_AT = 500;

const orderOf = (row: SigningRequestRow): FirmwareOrder => JSON.parse(row.order) as FirmwareOrder;

/**
 * Anti-rollback as the records know it, so that nobody approves in vain; keyd decides by its own journal.
 * @throws KeysteadError `firmware-order.rollback` with what was signed.
 */
export function requireHigher(records: SigningReader, order: FirmwareOrder): void {
  if (order.rollback) return;
  for (const row of records.signedOf(order, LOOKED_AT)) {
    const signed = orderOf(row);
    if (compareVersions(order.version, signed.version) < 0) {
      throw new KeysteadError('firmware-order.rollback', {
        field: 'version',
        seen: `${order.version}, where ${row.id} signed ${signed.version}`,
      });
    }
    const { securityCounter: before } = signed;
    if (before !== null && (order.securityCounter ?? -1) < before) {
      const seen = `${order.securityCounter ?? 'none'}, where ${row.id} signed ${before}`;
      throw new KeysteadError('firmware-order.rollback', { field: 'securityCounter', seen });
    }
  }
}

/**
 * One version is one image, in whatever format and however the version is written, as keyd has it: another format of the
 * image, or a signature by another key, is no second version.
 * @throws KeysteadError `firmware-order.version-taken` with the other request.
 */
export function requireVersionFree(records: SigningReader, order: FirmwareOrder): void {
  for (const row of sameVersion(records, order)) {
    if (row.id === order.id) continue;
    const other = orderOf(row);
    const seen = `${row.id}, which is ${row.state}`;
    if (other.image.sha256 !== order.image.sha256)
      throw new KeysteadError('firmware-order.version-taken', {
        field: order.version,
        seen: `${seen}, of another image`,
      });
    if (row.format === order.format && other.keys.some((key) => order.keys.includes(key)))
      throw new KeysteadError('firmware-order.version-taken', { field: order.version, seen });
  }
}

/** What waits for, or has, a signature of a version. Of what is older than the newest it is what is written the same way. */
function sameVersion(records: SigningReader, order: FirmwareOrder): SigningRequestRow[] {
  const version = canonicalVersion(order.version);
  const newest = [...records.waitingOf(order, LOOKED_AT), ...records.signedOf(order, LOOKED_AT)];
  const rows = [...newest, ...[order.version, version].flatMap((text) => records.ofVersion(order, text, LOOKED_AT))];
  return rows.filter((row) => canonicalVersion(row.version) === version);
}
