import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Serial } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { buildOcspRequest, readOcspResponse } from '@keystead/core/x509';
import { firstCertificate } from './fleet.ts';
import type { World } from './world.ts';

/** What the responder says of a serial number, with a nonce, its signature checked. */
export async function ocspStatus(world: World, role: string, serial: Serial): Promise<string> {
  const issuer = firstCertificate(readFileSync(join(world.layout.trust, `${role}.pem`), 'utf8'));
  const nonce = randomBytes(16);
  const response = await fetch(`${world.httpUrl}/ocsp/${role}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/ocsp-request' },
    body: Buffer.from(buildOcspRequest({ issuer, serial, nonce })),
  });
  const answer = readOcspResponse(new Uint8Array(await response.arrayBuffer()), {
    issuer,
    serial,
    now: world.clock.now(),
    nonce,
  });
  return answer.status;
}
