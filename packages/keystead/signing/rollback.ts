import { KeysteadError } from '@keystead/core/errors';
import { compareVersions, type FirmwareOrder } from '@keystead/core/lifecycle';
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
 * One version is one image: another format of it, or a signature by another key, is no second version.
 * @throws KeysteadError `firmware-order.version-taken` with the other request.
 */
export function requireVersionFree(records: SigningReader, order: FirmwareOrder): void {
  for (const row of records.ofVersion(order, order.version, LOOKED_AT)) {
    if (row.id === order.id) continue;
    const other = orderOf(row);
    const seen = `${row.id}, which is ${row.state}`;
    if (row.format !== order.format) continue;
    if (other.image.sha256 !== order.image.sha256)
      throw new KeysteadError('firmware-order.version-taken', {
        field: order.version,
        seen: `${seen}, of another image`,
      });
    if (other.keys.some((key) => order.keys.includes(key)))
      throw new KeysteadError('firmware-order.version-taken', { field: order.version, seen });
  }
}
