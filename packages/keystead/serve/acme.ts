import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { Acme, type AcmeDeps } from '../acme/index.ts';
import { type AcmeSettings, AcmeSettingsSchema } from '../files/acme-settings.ts';
import type { Layout } from '../files/layout.ts';

/** ACME over the rooms. @throws KeysteadError `config.malformed` for a file of attestation roots that holds none. */
export function acmeOf(
  rooms: Omit<AcmeDeps, 'policy' | 'settings' | 'attestationRoots'> & { layout: Layout; policy: () => Policy },
  settings: AcmeSettings = AcmeSettingsSchema.parse({}),
): Acme {
  const { store, clock, audit, refusals, access, authority, hierarchy, log } = rooms;
  return new Acme({
    ...{ store, clock, audit, refusals, access, authority, hierarchy, log, settings },
    attestationRoots: settings.attestationRoots.flatMap((path) => rootsIn(resolve(rooms.layout.data, path))),
    get policy() {
      return rooms.policy();
    },
  });
}

function rootsIn(path: string): DerCertificate[] {
  try {
    const roots = fromPem('CERTIFICATE', readFileSync(path, 'utf8')) as DerCertificate[];
    for (const root of roots) readCertificate(root);
    if (roots.length > 0) return roots;
  } catch (cause) {
    throw new KeysteadError('config.malformed', { field: `acme.attestationRoots ${path}`, seen: 'unreadable', cause });
  }
  throw new KeysteadError('config.malformed', { field: `acme.attestationRoots ${path}`, seen: 'no certificate' });
}
