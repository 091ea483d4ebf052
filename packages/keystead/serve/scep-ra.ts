import { toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner, softwareTransport } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
import type { ScepRa } from '../protocols/scep/message.ts';
import type { Rooms } from './rooms.ts';

type RaRooms = Pick<Rooms, 'authority' | 'clock' | 'policy'>;

/** A successor is made when this part of the life of the certificate is over. */
const RENEW_AT = 0.5;

/**
 * The registration authority of SCEP. Its key opens the requests of clients and with them the secrets in there, so it is
 * made anew at each start, is in memory only, and lives as long as the profile `scep-ra` says. The one before stays until
 * its certificate ends, for clients that have fetched that one.
 */
export class ScepRas {
  readonly #rooms: RaRooms;
  #held: readonly [ScepRa, ...ScepRa[]];

  private constructor(rooms: RaRooms, first: ScepRa) {
    this.#rooms = rooms;
    this.#held = [first];
  }

  /** @throws KeysteadError `scep.profile-missing`, and what keyd refuses. */
  static async make(rooms: RaRooms): Promise<ScepRas> {
    return new ScepRas(rooms, await makeRa(rooms));
  }

  /** Those whose certificates have not ended, the newest first. */
  get all(): readonly [ScepRa, ...ScepRa[]] {
    const now = this.#rooms.clock.now();
    const [newest, ...older] = this.#held;
    return [newest, ...older.filter(({ certificate }) => certificate.notAfter > now)];
  }

  /** Makes the next one when it is time. @throws KeysteadError as {@link make}; those that there are stay. */
  async renewDue(): Promise<void> {
    const [{ certificate }] = this.#held;
    const { notBefore, notAfter } = certificate;
    const due = notBefore.getTime() + (notAfter.getTime() - notBefore.getTime()) * RENEW_AT;
    if (this.#rooms.clock.now().getTime() < due) return;
    const next = await makeRa(this.#rooms);
    this.#held = [next, ...this.all];
  }
}

async function makeRa({ authority, policy }: Pick<Rooms, 'authority' | 'policy'>): Promise<ScepRa> {
  const key = generateSoftwareKey('RSA-3072');
  using pkcs8 = key.pkcs8;
  const signer = softwareSigner('RSA-3072', pkcs8);
  const csr = await certificationRequest(nameOf(policy), signer);
  const issued = await authority.registrationAuthority({ profile: 'scep-ra', csr, requestId: toHex(randomBytes(8)) });
  const transport = softwareTransport('RSA-3072', pkcs8);
  return { certificate: readCertificate(issued.certificate), signer, transport };
}

/** @throws KeysteadError `scep.profile-missing` for a policy of before, or one that names the RA after somebody. */
function nameOf({ profiles }: Policy): string {
  const name = profiles.find(({ id }) => id === 'scep-ra')?.subject.commonName;
  if (typeof name === 'object') return name.fixed;
  throw new KeysteadError('scep.profile-missing', { field: 'profiles', seen: "no 'scep-ra'" });
}
