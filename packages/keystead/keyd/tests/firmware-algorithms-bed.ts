import { toHex } from '@keystead/core/bytes';
import { type Signer, sha256 } from '@keystead/core/crypto';
import { type FirmwareFormatName, firmwareFormat, imageOf, type MadeSignature } from '@keystead/core/firmware';
import {
  type FirmwareKey,
  type FirmwareOrder,
  type FirmwarePolicy,
  formatStatements,
  type Policy,
  policyFile,
  signStatement,
} from '@keystead/core/lifecycle';
import { seconds, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import type { FirmwareBed } from './firmware-bed.ts';

/** The section of a policy that has one. */
export function firmwareIn({ firmware }: Policy): FirmwarePolicy {
  if (firmware === undefined) throw new TypeError('a policy without firmware');
  return firmware;
}

/** What a key is to be besides its id: for production where nothing else stands there. */
export type KeyParts = Pick<FirmwareKey, 'algorithm'> & Partial<FirmwareKey>;

/** A section `firmware` with these keys of KS-PUMP-1, each for these formats where it names none itself. */
export function firmwareOf(keys: Readonly<Record<string, KeyParts>>, formats: FirmwareFormatName[]): FirmwarePolicy {
  const all = Object.entries(keys).map(
    ([id, parts]): FirmwareKey => ({
      id,
      product: 'KS-PUMP-1',
      environment: 'production',
      formats,
      ...parts,
    }),
  );
  const line = (environment: FirmwareKey['environment']) => {
    const ids = all.filter((key) => key.environment === environment).map(({ id }) => id);
    const named = [...new Set([...formats, ...all.flatMap((key) => key.formats)])];
    return ids.length === 0 ? undefined : { keys: ids, formats: named, approvals: 1, roles: ['approver' as const] };
  };
  const environments = { production: line('production'), development: line('development') };
  return { products: [{ product: 'KS-PUMP-1', environments }], keys: all };
}

let versions = 0;

/** Signs an image as the whole way does: read, approved, signed by keyd, assembled. Each image has a version of its own. */
export async function signImage(
  bed: FirmwareBed,
  name: FirmwareFormatName,
  bytes: Uint8Array,
  keys: string[],
  more: Partial<{
    environment: FirmwareKey['environment'];
    parameters: Record<string, string>;
    /** What the order says that the image is, where that is another one. */
    image: FirmwareOrder['image'];
  }> = {},
): Promise<{ signed: Uint8Array; made: readonly MadeSignature[]; subject: Uint8Array }> {
  const format = firmwareFormat(name);
  const { parameters, environment = 'production' } = more;
  const raw = imageOf(bytes);
  const image = parameters === undefined ? raw : ((await format.prepare?.(raw, parameters)) ?? raw);
  const { subject, version, securityCounter } = await format.read(image);
  const whole = await image.read(0, image.size);
  versions += 1;
  const { signatures } = await bed.sign({
    format: name,
    keys,
    environment,
    subject,
    version: version ?? `1.0.${versions}`,
    securityCounter,
    target: `${name}-${versions}`,
    image: more.image ?? { sha256: toHex(sha256(whole)), bytes: whole.length },
  });
  const pieces: Uint8Array[] = [];
  // Without the time stamps that keyd made with them: `made` has those.
  const bare = signatures.map(({ timestamp: _timestamp, ...one }) => one);
  for await (const piece of format.assemble(image, subject, bare)) pieces.push(piece);
  return { signed: Buffer.concat(pieces), made: signatures, subject };
}

/** Puts another policy in force: pol proposes, pia approves. */
export async function changePolicy(bed: FirmwareBed, edit: (policy: Policy) => void): Promise<void> {
  const before = policyFile((await bed.keyd.client.trust()).policy);
  const next = successor(before, edit);
  const at = bed.keyd.clock.now().getTime();
  const sign = (act: 'propose' | 'approve', name: string, signer: Signer) =>
    signStatement(
      {
        act,
        previousSha256: before.sha256,
        policySha256: next.sha256,
        version: next.policy.version,
        proposer: 'pol',
        role: 'policy-administrator',
        signedAt: seconds(at),
        expiresAt: seconds(at + 3_600_000),
        signer: name,
      },
      signer,
    );
  const approvals = formatStatements([
    await sign('propose', 'pol', bed.keyd.people.pol.signer),
    await sign('approve', 'pia', bed.people.pia.signer),
  ]);
  await bed.keyd.client.changePolicy({ policy: next.bytes, approvals, requestId: `policy-${next.policy.version}` });
}
