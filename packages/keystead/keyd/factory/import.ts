import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromPem, sameBytes, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  FACTORY_SLOTS,
  type FactorySlot,
  parseFactoryRequest,
  policyFile,
  requestName,
  requireSameFoundation,
} from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import { parseCsr, readCertificate } from '@keystead/core/x509';
import { durableWrite, removeUnfinished, syncDirectory } from '../../files/durable.ts';
import { readFingerprint } from '../../files/fingerprint.ts';
import type { Layout } from '../../files/layout.ts';
import { asOwnerOf } from '../../host/as-owner.ts';
import { openKeystore, readKeystoreConfig } from '../../keystore/index.ts';
import { cosignName } from '../init.ts';
import { foundingPolicyPath } from '../policy-chain.ts';
import { becomeSole } from '../single.ts';
import { type CheckedCommission, checkCommission } from './commission-check.ts';
import { requireIdentity } from './identity.ts';
import { factoryRequestPath } from './init.ts';
import { commissionCopy, currentCommission, type NodePins, nodePinsPath, readNodePins } from './pins.ts';
import { finishNodePublishing } from './publish.ts';

export interface CommissionImport {
  /** The commission's file. */
  readonly file: Uint8Array;
  /**
   * SHA-256 of the root's certificate (hex or 32 words), for which somebody of headquarters vouches. The first import
   * needs it; a later one goes by the root that was pinned, unless another is vouched for.
   */
  readonly rootSha256?: string;
  /** Gives the passphrase of keyd's keystore; asked for at the first import only. It is wiped. */
  readonly passphrase: () => Promise<SecretBytes>;
}

/**
 * Takes over a commission: verifies it all, and last pins it in keyd's own directory by one rename. keyd must not run; it
 * works by it when it starts again. Killed at any moment, keyd works by the old commission or by the new one, and
 * `trust/` follows at its next start. Importing the same commission again changes nothing; an older one is refused.
 * REQ-KEY-PROV-01, REQ-KEY-SOD-01
 * @throws KeysteadError `factory.*`, `policy.*`, `fingerprint.malformed`, `keystore.*`, `keyd.already-running`; nothing
 *   is changed then.
 */
export async function importCommission(layout: Layout, clock: Clock, given: CommissionImport): Promise<NodePins> {
  const { name } = requireIdentity(layout);
  mkdirSync(layout.run, { recursive: true, mode: 0o700 });
  const right = await becomeSole(layout.run);
  try {
    const before = readNodePins(layout);
    const pins =
      before === undefined ? undefined : await asOwnerOf(layout.keyd, () => finishNodePublishing(layout, before));
    const found = asked(layout, pins);
    const text = Buffer.from(given.file).toString('utf8');
    const checked = checkCommission(text, {
      factory: name,
      rootSha256: vouchedRoot(given, pins),
      ...found,
      now: clock.now(),
      dir: layout.keyd,
    });
    const fileSha256 = toHex(sha256(given.file));
    if (pins !== undefined && isSame(checked, pins, fileSha256)) return pins;
    requireAct(checked, pins);
    if (pins !== undefined) requireFoundation(layout, checked);
    else await requireKeystore(layout, clock, found, given);
    const next = pinsAfter(checked, found, pins, { sha256: fileSha256, importedAt: clock.now().toISOString() });
    return await asOwnerOf(layout.keyd, () => takeOver(layout, next, checked, given.file));
  } finally {
    right.release();
  }
}

interface Asked {
  readonly requestSha256: string;
  readonly keys: Readonly<Record<FactorySlot, string>>;
  readonly vkey: string;
  readonly cosignVkey: string;
}

function vouchedRoot({ rootSha256 }: CommissionImport, pins: NodePins | undefined): string {
  if (rootSha256 !== undefined) return readFingerprint(rootSha256);
  if (pins !== undefined) return pins.rootSha256;
  throw new KeysteadError('factory.commission-untrusted', {
    field: 'rootSha256',
    seen: 'nothing: whoever brings the first commission must say by which root it is to be believed',
  });
}

/** What this node asked for: by its request, and once it has a commission by what was pinned. */
function asked(layout: Layout, pins: NodePins | undefined): Asked {
  if (pins !== undefined) {
    const { requestSha256, keys, vkey, cosignVkey } = pins;
    return { requestSha256, keys, vkey, cosignVkey };
  }
  const bytes = readFileSync(factoryRequestPath(layout));
  const { certificateRequests, log } = parseFactoryRequest(bytes);
  const keyOf = (slot: FactorySlot): string => {
    const [der] = fromPem('CERTIFICATE REQUEST', certificateRequests[slot]);
    return der === undefined ? 'none' : spkiSha256(parseCsr(der).spki);
  };
  const keys = { manufacturing: keyOf('manufacturing'), server: keyOf('server'), evidence: keyOf('evidence') };
  return { requestSha256: toHex(sha256(bytes)), keys, ...log };
}

/** The request is a file that others could have replaced: what was certified is what this keystore holds. */
async function requireKeystore(
  layout: Layout,
  clock: Clock,
  { keys, vkey, cosignVkey }: Asked,
  { passphrase }: CommissionImport,
): Promise<void> {
  const differs = (field: string, seen: string) =>
    new KeysteadError('factory.commission-foreign', { field: `${factoryRequestPath(layout)} ${field}`, seen });
  using secret = await passphrase();
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), secret, clock);
  try {
    for (const slot of FACTORY_SLOTS) {
      const ours = spkiSha256(keystore.signer(requestName(slot)).spki);
      if (ours !== keys[slot]) throw differs(slot, `a key with SHA-256 ${keys[slot]}, where the keystore has ${ours}`);
    }
    const { origin } = requireIdentity(layout);
    const log = formatVerifierKey(origin, 'ed25519', keystore.signer('log').spki);
    const cosign = formatVerifierKey(cosignName(origin), 'cosignature-v1', keystore.signer('log-cosign').spki);
    if (log !== vkey || cosign !== cosignVkey) throw differs('log', 'other keys of the log than the keystore has');
  } finally {
    keystore.close();
  }
}

/** @throws KeysteadError `factory.commission-older`, `factory.commission-differs`. */
function isSame({ content }: CheckedCommission, pins: NodePins, fileSha256: string): boolean {
  const { number, sha256: pinned } = currentCommission(pins);
  if (content.number > number) return false;
  const seen = `commission ${content.number}, and this node works by ${number}`;
  if (content.number < number) throw new KeysteadError('factory.commission-older', { field: 'number', seen });
  if (fileSha256 === pinned) return true;
  throw new KeysteadError('factory.commission-differs', { field: 'number', seen: `another commission ${number}` });
}

/** The first commission founds, and no later one does. What is closed stays closed: that the number says. */
function requireAct({ content }: CheckedCommission, pins: NodePins | undefined): void {
  if ((content.act === 'commission') === (pins === undefined)) return;
  const seen = `${content.act}, where this node has ${pins === undefined ? 'no commission yet' : 'one'}`;
  throw new KeysteadError('factory.commission-foreign', { field: 'act', seen });
}

/** What the CAs of a policy are certified for cannot change by a commission: that takes a ceremony. */
function requireFoundation(layout: Layout, { policy }: CheckedCommission): void {
  const founding = policyFile(readFileSync(foundingPolicyPath(layout.keyd)));
  requireSameFoundation(founding.policy, policy.policy);
}

function pinsAfter(
  { content, certificates }: CheckedCommission,
  { requestSha256, keys, vkey, cosignVkey }: Asked,
  pins: NodePins | undefined,
  file: { readonly sha256: string; readonly importedAt: string },
): NodePins {
  return {
    version: 1,
    rootSha256: readCertificate(certificates.above.root).sha256,
    requestSha256,
    keys: { ...keys },
    policySha256: pins?.policySha256 ?? toHex(sha256(Buffer.from(content.policy, 'base64'))),
    vkey,
    cosignVkey,
    commissions: [...(pins?.commissions ?? []), { number: content.number, ...file }],
    publishing: true,
  };
}

/** The copy and the policy first: nobody names them until the pins do. */
function takeOver(layout: Layout, pins: NodePins, { content, policy }: CheckedCommission, file: Uint8Array): NodePins {
  keep(commissionCopy(layout, content.number), file);
  const founding = foundingPolicyPath(layout.keyd);
  if (pins.commissions.length === 1) keep(founding, policy.bytes);
  else if (!existsSync(founding) || !sameHash(founding, pins.policySha256)) {
    throw new KeysteadError('bundle.policy-differs', { field: founding, seen: 'another file than was imported' });
  }
  syncDirectory(layout.keyd);
  removeUnfinished(nodePinsPath(layout));
  durableWrite(nodePinsPath(layout), `${JSON.stringify(pins, null, 2)}\n`, 0o600);
  return finishNodePublishing(layout, pins);
}

/** Whoever imports is alone: what lies beside the file was left by one that was killed. */
function keep(path: string, content: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  removeUnfinished(path);
  if (existsSync(path) && sameBytes(readFileSync(path), content)) return;
  durableWrite(path, content, 0o600);
}

const sameHash = (path: string, pinned: string): boolean => toHex(sha256(readFileSync(path))) === pinned;
