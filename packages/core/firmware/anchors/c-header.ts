import { sha256 } from '../../crypto/index.ts';
import type { AnchorSet } from './anchor-set.ts';
import { headline, keyLine, octetLines, plain } from './c-source.ts';

/** C99 or later, and C++: each key as SubjectPublicKeyInfo, DER, with its SHA-256. */
export function cHeader(set: AnchorSet): string {
  const guard = `KEYSTEAD_ANCHORS_${plain(`${set.product}_${set.environment}`)
    .replaceAll(/[^A-Za-z0-9]/g, '_')
    .toUpperCase()}_H`;
  const arrays = set.anchors.map(
    (anchor, index) => `/* ${keyLine(anchor)} */
static const uint8_t keystead_anchor_${index}[] = {
${octetLines(anchor.spki)}
};
`,
  );
  const rows = set.anchors.map(
    ({ id, algorithm, spki }, index) => `  {
    "${plain(id)}", "${plain(algorithm)}", keystead_anchor_${index}, sizeof(keystead_anchor_${index}),
    {
${octetLines(sha256(spki))}
    }
  },
`,
  );
  return `/* ${headline(set)} */
#ifndef ${guard}
#define ${guard}

#include <stddef.h>
#include <stdint.h>

#define KEYSTEAD_ANCHORS ${set.anchors.length}

/* A key that may sign the firmware: SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7), and its SHA-256. */
struct keystead_anchor {
  const char *id;
  const char *algorithm;
  const uint8_t *spki;
  size_t spki_length;
  uint8_t spki_sha256[32];
};

${arrays.join('\n')}
static const struct keystead_anchor keystead_anchors[KEYSTEAD_ANCHORS] = {
${rows.join('')}};

#endif
`;
}
