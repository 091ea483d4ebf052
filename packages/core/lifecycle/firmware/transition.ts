import { KeysteadError } from '../../errors/index.ts';
import { lineKeys } from './line-keys.ts';
import { FIRMWARE_ENVIRONMENTS, type FirmwarePolicy } from './policy.ts';

type WithFirmware = { readonly firmware?: FirmwarePolicy | undefined };

/**
 * Whether devices can follow from one policy to the next: of each line that had keys, the devices of before trust one by
 * which the line still signs. A new key is therefore named first beside the old one and signs alone later; an old key is
 * retired only while another one that devices had in their anchors signs on. A line that is taken out of the policy says so
 * by being gone, and one that gives up its devices on purpose by `cutOver`: the quorum signs either. REQ-KEY-ROT-02
 * @throws KeysteadError `policy.firmware-no-transition` with the line.
 */
export function requireTransition(before: WithFirmware, after: WithFirmware): void {
  for (const { product, environments } of before.firmware?.products ?? []) {
    for (const environment of FIRMWARE_ENVIRONMENTS) {
      const line = after.firmware?.products.find((one) => one.product === product)?.environments[environment];
      if (environments[environment] === undefined || line === undefined || line.cutOver === true) continue;
      const old = lineKeys(before, { product, environment });
      const known = [...old.signs, ...old.trusted];
      const next = lineKeys(after, { product, environment });
      if (next.signs.some((id) => known.includes(id))) continue;
      throw new KeysteadError('policy.firmware-no-transition', {
        field: `firmware.products.${product}.${environment}.keys`,
        seen: `${next.signs.join(', ') || 'none'}, where its devices trust ${known.join(', ') || 'none'}`,
      });
    }
  }
}
