import type { SpkiSha256 } from '../../bytes/index.ts';
import { spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey, readCertificate } from '../../x509/index.ts';
import type { BundleContent } from './content.ts';

/** Keys that may sign a bundle: 128 bits and more (SP 800-57 part 1 r5 table 2). */
export const SIGNER_ALGORITHMS = ['P-256', 'P-384', 'Ed25519'] as const;

interface Window {
  readonly from: number;
  readonly until: number;
}

/** Whether a time, seconds since 1970, is in a window. */
export const isIn = ({ from, until }: Window, at: number): boolean => from <= at && at < until;

/**
 * The rules that hold inside one bundle, whoever signed it: what breaks one would leave devices without a way on.
 * REQ-KEY-ROT-03, REQ-KEY-REV-04
 * @throws KeysteadError `trust-bundle.rule` with the field and what is missing; `key.*`, `cert.*` for a key or a
 *   certificate that is none.
 */
export function checkContent(content: BundleContent): void {
  const { issuedAt, expires, anchors, pins, signers, firmware } = content;
  if (issuedAt >= expires) throw broken('expires', 'not after issuedAt');
  anchors.forEach((anchor, index) => {
    requireWindow(anchor, `anchors[${index}]`);
    const { ca, notAfter } = readCertificate(anchor.certificate);
    if (ca === false) throw broken(`anchors[${index}].certificate`, 'the certificate of no CA');
    if (anchor.until * 1000 > notAfter.getTime()) throw broken(`anchors[${index}].until`, 'after its certificate');
  });
  requireOnce(
    anchors.map(({ role, certificate }) => `${role} ${spkiSha256(readCertificate(certificate).spki)}`),
    'anchors',
  );
  requireOnce(
    pins.map(({ role }) => role),
    'pins',
  );
  for (const [index, pin] of pins.entries()) checkPins(pin, issuedAt, `pins[${index}]`);
  checkSigners(signers, content);
  requireOnce(
    firmware.map(({ product }) => product),
    'firmware',
  );
}

/** There is one that is good now, and at all times one in the safe: a key that is lost must not cut devices off. */
function checkPins({ role, keys }: BundleContent['pins'][number], now: number, field: string): void {
  for (const [index, key] of keys.entries()) requireWindow(key, `${field}.keys[${index}]`);
  requireOnce(
    keys.map((key) => key.spkiSha256),
    `${field}.keys`,
  );
  const good = keys.filter((key) => isIn(key, now));
  if (!good.some(({ use }) => use === 'current')) throw broken(`${field}.keys`, `no current key of ${role}`);
  const last = Math.max(...keys.filter(({ use }) => use !== 'backup').map(({ until }) => until));
  const safe = good.some(({ use, until }) => use === 'backup' && until >= last);
  if (!safe) throw broken(`${field}.keys`, `no backup of ${role} that is good as long as the others`);
}

/** One of them outlives the bundle: else nobody could sign the next. */
function checkSigners(signers: BundleContent['signers'], { expires }: BundleContent): void {
  signers.forEach((signer, index) => {
    requireWindow(signer, `signers[${index}]`);
    checkPublicKey(signer.spki, SIGNER_ALGORITHMS);
  });
  requireOnce(
    signers.map(({ spki }) => spkiSha256(spki)),
    'signers',
  );
  if (!signers.some((signer) => isIn(signer, expires))) throw broken('signers', 'none that is good beyond expires');
}

/** Whether a device may talk to a key under this name. Undefined for a name without pins. */
export function isPinned(
  { pins }: Pick<BundleContent, 'pins'>,
  role: string,
  key: SpkiSha256,
  now: Date,
): boolean | undefined {
  const pin = pins.find((one) => one.role === role);
  const at = Math.floor(now.getTime() / 1000);
  return pin?.keys.some((one) => one.spkiSha256 === key && isIn(one, at));
}

function requireWindow({ from, until }: Window, field: string): void {
  if (from >= until) throw broken(`${field}.until`, 'not after from');
}

function requireOnce(names: readonly string[], field: string): void {
  const twice = names.find((one, index) => names.indexOf(one) !== index);
  if (twice !== undefined) throw broken(field, `${twice} twice`);
}

const broken = (field: string, seen: string): KeysteadError => new KeysteadError('trust-bundle.rule', { field, seen });
