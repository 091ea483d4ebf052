import { toPem } from '../../bytes/index.ts';
import type { AnchorSet } from './anchor-set.ts';
import { headline, keyLine, octetLines } from './c-source.ts';

/**
 * C source for Mbed TLS: each key in DER and in PEM, both as `mbedtls_pk_parse_public_key(&pk, key, length)` takes them
 * (of PEM the length has the zero at its end).
 */
export function mbedtlsSource(set: AnchorSet): string {
  const keys = set.anchors.map((anchor, index) => {
    const name = `keystead_anchor_${index}`;
    const lines = toPem('PUBLIC KEY', anchor.spki).trimEnd().split('\n');
    return `/* ${keyLine(anchor)} */
const unsigned char ${name}_der[] = {
${octetLines(anchor.spki)}
};
const size_t ${name}_der_len = sizeof(${name}_der);
const char ${name}_pem[] =
${lines.map((line) => `    "${line}\\n"`).join('\n')};
const size_t ${name}_pem_len = sizeof(${name}_pem);
`;
  });
  return `/* ${headline(set)} */
#include <stddef.h>

const size_t keystead_anchors = ${set.anchors.length};

${keys.join('\n')}`;
}
