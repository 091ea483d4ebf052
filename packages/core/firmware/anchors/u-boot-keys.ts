import { fromHex } from '../../bytes/index.ts';
import { ecPoint } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readDer } from '../../x509/der/strict.ts';
import { readPublicKey } from '../../x509/spki.ts';
import { fitAlgorithm } from '../fit/signature-node.ts';
import { described } from '../signer-key.ts';
import { type AnchorSet, anchorsFor, type FirmwareAnchor } from './anchor-set.ts';
import { headline, keyLine, plain } from './c-source.ts';

/**
 * An overlay for U-Boot's control device tree (`dtc -@`, `fdtoverlay`), which has what `mkimage -K -r` would write there:
 * no configuration boots without a signature by one of these keys. Several are alternatives (`required-mode = "any"`),
 * as a rotation needs them.
 * @throws KeysteadError `firmware.anchor-missing`, `firmware.key-unsuitable`.
 */
export function uBootKeys(set: AnchorSet): string {
  const anchors = anchorsFor(set, 'fit');
  const mode = anchors.length > 1 ? '        required-mode = "any";\n' : '';
  return `/* ${headline(set)} */
/dts-v1/;
/plugin/;

/ {
  fragment-keystead {
    target-path = "/";
    __overlay__ {
      signature {
${mode}${anchors.map(keyNode).join('')}      };
    };
  };
};
`;
}

function keyNode(anchor: FirmwareAnchor): string {
  // RSASSA-PSS is said by the signature, not by the key: mkimage writes no padding here either.
  const algorithm = fitAlgorithm(anchor)?.algorithm;
  if (algorithm === undefined) {
    throw new KeysteadError('firmware.key-unsuitable', { field: anchor.id, seen: `${described(anchor)} for U-Boot` });
  }
  // Two ids that were spelt as one would be one node, and one key would be gone.
  if (!/^[A-Za-z0-9._-]{1,40}$/.test(anchor.id)) {
    throw new KeysteadError('firmware.key-unsuitable', {
      field: plain(anchor.id),
      seen: 'an id that no node can have',
    });
  }
  const numbers = anchor.algorithm === 'P-256' ? ecdsaNumbers(anchor) : rsaNumbers(anchor);
  return `        /* ${keyLine(anchor)} */
        key-${anchor.id} {
          required = "conf";
          algo = "${algorithm}";
          key-name-hint = "${anchor.id}";
${numbers.map(([name, value]) => `          ${name} = ${value};\n`).join('')}        };
`;
}

/** lib/ecdsa/ecdsa-libcrypto.c, ecdsa_add_verify_data. */
function ecdsaNumbers({ spki }: FirmwareAnchor): readonly (readonly [string, string])[] {
  const point = ecPoint('P-256', spki);
  return [
    ['ecdsa,curve', '"prime256v1"'],
    ['ecdsa,x-point', cells(point.subarray(1, 33))],
    ['ecdsa,y-point', cells(point.subarray(33))],
  ];
}

/**
 * lib/rsa/rsa-sign.c, rsa_add_verify_data: what Montgomery's multiplication of 32 bits at a time needs is worked out
 * beforehand, R² mod n with R = 2^bits, and -1/n mod 2^32.
 */
function rsaNumbers({ id, spki }: FirmwareAnchor): readonly (readonly [string, string])[] {
  const { rsa } = readPublicKey(readDer(spki));
  if (rsa === undefined) throw new KeysteadError('firmware.key-unsuitable', { field: id, seen: 'no RSA key' });
  const modulus = BigInt(`0x${Buffer.from(rsa.modulus).toString('hex')}`);
  const bits = rsa.modulus.length * 8;
  const rSquared = 2n ** BigInt(2 * bits) % modulus;
  return [
    ['rsa,num-bits', `<${bits}>`],
    ['rsa,n0-inverse', cells(octets(2n ** 32n - inverse(modulus % 2n ** 32n), 4))],
    ['rsa,exponent', cells(octets(BigInt(`0x${Buffer.from(rsa.exponent).toString('hex')}`), 8))],
    ['rsa,modulus', cells(rsa.modulus)],
    ['rsa,r-squared', cells(octets(rSquared, rsa.modulus.length))],
  ];
}

/** Of an odd number, modulo 2^32: each step doubles the bits that are right. */
function inverse(odd: bigint): bigint {
  let found = 1n;
  for (let bits = 1; bits < 32; bits *= 2) found = (found * (2n - odd * found)) & 0xffffffffn;
  return found & 0xffffffffn;
}

const octets = (value: bigint, length: number): Uint8Array => fromHex(value.toString(16).padStart(2 * length, '0'));

/** Numbers of 32 bits. */
const cells = (bytes: Uint8Array): string =>
  `<${(Buffer.from(bytes).toString('hex').match(/.{8}/g) ?? []).map((word) => `0x${word}`).join(' ')}>`;
