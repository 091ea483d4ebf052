import { firmwareIdOf } from '@keystead/core/lifecycle';
import { firmwareKeysPath, replaceFirmwareKeys } from '../files/firmware-keys-file.ts';
import type { KeyLedger } from './key-ledger.ts';

/**
 * Tells of the keys for firmware as they are now, so that trust anchors can be held against them: in keyd's own directory,
 * and in `trust/` where that may be written (under systemd it may not). Nothing old is left to go by where that can be.
 * @param policySha256 of the policy in force.
 */
export function publishFirmwareKeys(dirs: readonly string[], policySha256: string, ledger: KeyLedger): void {
  const keys = ledger.list().flatMap(({ info, spkiSha256, changes }) => {
    const id = firmwareIdOf(info.id);
    const compromised = changes.some(({ change }) => change === 'compromise');
    return id === undefined ? [] : [{ id, spkiSha256, compromised }];
  });
  const told = { policySha256, keys };
  for (const dir of dirs) replaceFirmwareKeys(firmwareKeysPath(dir), told);
}
