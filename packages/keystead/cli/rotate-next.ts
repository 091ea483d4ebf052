import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { parseBundle } from '@keystead/core/lifecycle';
import type { StandingJson } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { type CampaignView, rootsIn, withBothRoots, withoutOldRoot } from '../rotation/index.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { type Next, nextOfKeys } from './rotate-next-keys.ts';

interface NextOptions extends OperatorOptions {
  rollover?: string;
  out?: string;
}

/**
 * `keystead rotate next`: what people do next in a campaign of what stands in bundles, and, where that is a trust bundle, the whole content
 * for `keystead trust propose`: nobody composes it by hand. It asks and decides nothing by itself. REQ-KEY-ROT-02
 */
export function nextCommand(): Command {
  return operatorOptions(new Command('next').argument('<campaign>', 'of a root, server keys or firmware keys'), 'pki')
    .description('what people do next in a rotation; writes the trust bundle that they are to sign')
    .option('--rollover <dir>', 'the outputs of the ceremony that made the new root')
    .option('--out <file>', 'where the content of the bundle goes')
    .addHelpText('after', '\nExample:\n  $ keystead rotate next root-2 --rollover usb/3-rollover --out both.json')
    .action(async (id: string, options: NextOptions) => {
      const { view, content } = await asOperator(options, async (client) => ({
        view: await client.get<CampaignView>(`/api/v1/campaigns/${encodeURIComponent(id)}`),
        content: (await client.get<{ content: StandingJson | null }>('/api/v1/trust')).content,
      }));
      const found = nextOf(view, content, options);
      if (found.content !== undefined && options.out !== undefined) {
        durableWrite(options.out, `${JSON.stringify(found.content, null, 2)}\n`, 0o644);
      }
      process.stdout.write(options.json === true ? `${JSON.stringify(found)}\n` : `next: ${found.next}\n`);
    });
}

function nextOf(view: CampaignView, content: StandingJson | null, { rollover, out = '<file>' }: NextOptions): Next {
  const { id, kind, state, plan, retireNotBefore } = view;
  const keys = kind === 'server-keys' || kind === 'firmware-keys';
  if (kind !== 'root' && !keys) {
    throw new KeysteadError('rotation.target', { field: 'kind', seen: `${kind}, which stands in no bundle` });
  }
  if (content === null) throw new KeysteadError('trust-bundle.none', { field: 'content' });
  if (keys) return nextOfKeys(view, content, out);
  const publish = `keystead trust propose ${out}, approve, publish`;
  const stands = rootsIn(plan, content);
  switch (state) {
    case 'planned':
      return { next: `keystead rotate start ${id}` };
    case 'distributing': {
      if (stands.next) {
        return { next: `keystead hierarchy import of the rollover, start again, then keystead rotate advance ${id}` };
      }
      if (rollover === undefined) return { next: 'call this with --rollover, the outputs of ceremony rollover' };
      const { next } = rolloverIn(rollover, plan.target);
      const at = Math.floor(systemClock.now().getTime() / 1000);
      return { next: `the bundle with both roots: ${publish}`, content: withBothRoots(plan, content, next, at) };
    }
    case 'switched':
      return { next: `keystead rotate advance ${id}, ring by ring` };
    case 'retiring': {
      if (!stands.old) return { next: `keystead rotate retire ${id}, when the devices have this bundle` };
      const when = `not before ${retireNotBefore ?? 'its time'}, and when roots.transitionSeconds is over`;
      return { next: `the bundle without the old root, ${when}: ${publish}`, content: withoutOldRoot(plan, content) };
    }
    case 'paused':
      return { next: `people look, then keystead rotate resume ${id}` };
    default:
      return { next: `nothing: it is ${state}` };
  }
}

/**
 * The change of a root's key that a ceremony made last: the new root, and the keys of both.
 * @param directory the outputs of `ceremony rollover`. Whether they prove anything `ceremony verify` says.
 * @throws KeysteadError `config.missing`, `bundle.malformed`, `rotation.target` where it has none of this root.
 */
export function rolloverIn(directory: string, role: string): { old: string; nextKey: string; next: DerCertificate } {
  const path = join(directory, 'bundle.json');
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('config.missing', { field: path, cause });
  }
  const { rollovers, certificates } = parseBundle(bytes);
  const last = rollovers.findLast((one) => one.role === role);
  if (last === undefined || (role !== 'root' && role !== 'signing-root')) {
    throw new KeysteadError('rotation.target', { field: 'target', seen: `${role}, of which ${path} has no rollover` });
  }
  const next = certificates[role];
  return { old: readCertificate(last.old).spkiSha256, nextKey: readCertificate(next).spkiSha256, next };
}
