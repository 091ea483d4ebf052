import { toPem } from '../../bytes/index.ts';
import type { AnchorSet } from './anchor-set.ts';
import { cHeader } from './c-header.ts';
import { headline, keyLine } from './c-source.ts';
import { mbedtlsSource } from './mbedtls.ts';
import { mcubootKeys } from './mcuboot-keys.ts';
import { uBootKeys } from './u-boot-keys.ts';
import { uefiAnchors } from './uefi-esl.ts';

export {
  type AnchorScope,
  type AnchorSet,
  type AnchorSource,
  anchorSet,
  type FirmwareAnchor,
  type HeldKey,
  type KeyUse,
  requireHeld,
  type ScopedKey,
} from './anchor-set.ts';

/** Public keys, PEM (RFC 7468 section 13), each with a line that says whose it is. */
const pem = (set: AnchorSet): string =>
  `# ${headline(set)}\n${set.anchors.map((anchor) => `# ${keyLine(anchor)}\n${toPem('PUBLIC KEY', anchor.spki)}`).join('')}`;

/** The anchors of a set as whoever builds a device's boot chain needs them. */
export const ANCHOR_FORMATS = {
  pem: { title: 'public keys, PEM', write: pem },
  'c-header': { title: 'C header: SubjectPublicKeyInfo and its SHA-256', write: cHeader },
  mbedtls: { title: 'C source for mbedtls_pk_parse_public_key', write: mbedtlsSource },
  mcuboot: { title: 'key file of MCUboot, as imgtool getpub writes it', write: mcubootKeys },
  'uefi-esl': { title: 'EFI_SIGNATURE_LIST for db, binary', write: uefiAnchors },
  'u-boot': { title: "overlay for U-Boot's control device tree", write: uBootKeys },
} as const satisfies Readonly<
  Record<string, { readonly title: string; readonly write: (set: AnchorSet) => string | Uint8Array }>
>;
export type AnchorFormatName = keyof typeof ANCHOR_FORMATS;
