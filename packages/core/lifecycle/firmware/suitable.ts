import { KeysteadError } from '../../errors/index.ts';
import type { FirmwareFormat, FormatKey } from '../../firmware/index.ts';
import { type FirmwareKey, firmwareScheme } from './policy.ts';

/** A key of the policy as formats know keys. */
export const formatKeyOf = (key: FirmwareKey): FormatKey => ({ algorithm: key.algorithm, scheme: firmwareScheme(key) });

/**
 * That a format can be signed by each of these keys, and one image by all of them. Before people approve and before
 * anything counts: what cannot be put together afterwards has taken its version and a use of each key.
 * @throws KeysteadError `firmware.key-unsuitable` with the key, or with those that do not go together.
 */
export function requireSuitableKeys(keys: readonly FirmwareKey[], format: FirmwareFormat): void {
  const { name, signedBy, signedTogether } = format;
  const used = keys.map((key) => ({ id: key.id, ...formatKeyOf(key) }));
  const unfit = used.filter((key) => signedBy?.(key) === false);
  const wrong = unfit.length === 0 && signedTogether?.(used) === false ? used : unfit.slice(0, 1);
  if (wrong.length === 0) return;
  const said = wrong.map(({ id, algorithm, scheme }) => `${id}, ${algorithm} by ${scheme}`).join(', and ');
  const seen = `${said}, for ${name}${wrong.length > 1 ? ', where no reader takes both' : ''}`;
  throw new KeysteadError('firmware.key-unsuitable', { field: 'keys', seen });
}
