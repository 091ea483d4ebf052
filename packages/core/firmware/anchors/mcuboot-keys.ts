import { KeysteadError } from '../../errors/index.ts';
import { mcubootKey } from '../mcuboot/format.ts';
import { described } from '../signer-key.ts';
import { type AnchorSet, anchorsFor } from './anchor-set.ts';
import { headline, keyLine, octetLines } from './c-source.ts';

/** `shortname` of imgtool/keys/*.py, by what the key signs by. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  'P-256': 'ecdsa',
  'P-384': 'ecdsap384',
  Ed25519: 'ed25519',
  'RSA-2048 by RSASSA-PSS-SHA256': 'rsa',
  'RSA-3072 by RSASSA-PSS-SHA256': 'rsa',
};

/**
 * The file that `imgtool getpub` writes, `ecdsa_pub_key` and `ecdsa_pub_key_len`, for every key; a second of a kind has
 * `_2` behind its name. With KEYSTEAD_BOOTUTIL_KEYS defined it is also the table that bootutil looks through
 * (bootutil/sign_key.h), in place of a port's own keys.c, which knows one key alone.
 * @throws KeysteadError `firmware.anchor-missing`, `firmware.key-unsuitable`.
 */
export function mcubootKeys(set: AnchorSet): string {
  const seen = new Map<string, number>();
  const keys = anchorsFor(set, 'mcuboot').map((anchor) => {
    const short = SHORT_NAMES[described(anchor)];
    if (short === undefined) {
      throw new KeysteadError('firmware.key-unsuitable', {
        field: anchor.id,
        seen: `${described(anchor)} for MCUboot`,
      });
    }
    const number = (seen.get(short) ?? 0) + 1;
    seen.set(short, number);
    return { anchor, name: `${short}_pub_key${number === 1 ? '' : `_${number}`}` };
  });
  const arrays = keys.map(
    ({ anchor, name }) => `/* ${keyLine(anchor)} */
const unsigned char ${name}[] = {
${octetLines(mcubootKey(anchor.spki))}
};
const unsigned int ${name}_len = ${mcubootKey(anchor.spki).length};
`,
  );
  const rows = keys.map(({ name }) => `    { .key = ${name}, .len = &${name}_len },\n`);
  return `/* ${headline(set)} */
${arrays.join('\n')}
#ifdef KEYSTEAD_BOOTUTIL_KEYS
#include <bootutil/sign_key.h>

const struct bootutil_key bootutil_keys[] = {
${rows.join('')}};
const int bootutil_key_cnt = sizeof(bootutil_keys) / sizeof(bootutil_keys[0]);
#endif
`;
}
