import { toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CMP_RA_PROFILE } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { CmpAuthority } from '../protocols/cmp/index.ts';
import type { Rooms } from './rooms.ts';

/** It is replaced, with a new key, when this is over. */
const USED_FOR_MS = 24 * 3600 * 1000;

interface Made {
  readonly authority: CmpAuthority;
  /** When the next is made, milliseconds since 1970. */
  readonly until: number;
}

/**
 * The registration authority that signs answers of CMP. Its key lives in this process only: it is made when the first
 * answer needs it, anew at each start and each day, and never stored (docs/memory.md).
 */
export class CmpAuthorities {
  readonly #rooms: Pick<Rooms, 'authority' | 'clock' | 'hierarchy' | 'policy'>;
  #made: Made | undefined;
  #making: Promise<Made> | undefined;

  constructor(rooms: Pick<Rooms, 'authority' | 'clock' | 'hierarchy' | 'policy'>) {
    this.#rooms = rooms;
  }

  /** @throws KeysteadError `cmp.off` where the policy has no profile for it; as keyd. */
  async get(): Promise<CmpAuthority> {
    const { policy, clock } = this.#rooms;
    const profile = policy.profiles.find(({ id }) => id === CMP_RA_PROFILE);
    if (profile === undefined) {
      throw new KeysteadError('cmp.off', { field: 'policy', seen: `version ${policy.version}` });
    }
    if (this.#made !== undefined && clock.now().getTime() < this.#made.until) return this.#made.authority;
    const name = profile.subject.commonName;
    this.#making ??= this.#make(typeof name === 'string' ? name : name.fixed).finally(() => {
      this.#making = undefined;
    });
    this.#made = await this.#making;
    return this.#made.authority;
  }

  async #make(commonName: string): Promise<Made> {
    const { authority, hierarchy, clock } = this.#rooms;
    const { pkcs8 } = generateSoftwareKey('P-256');
    const signer = softwareSigner('P-256', pkcs8);
    pkcs8.wipe();
    const csr = await certificationRequest(commonName, signer);
    const issued = await authority.registrationAuthority({
      profile: CMP_RA_PROFILE,
      csr,
      requestId: toHex(randomBytes(8)),
    });
    const now = clock.now().getTime();
    // Halfway through its life at the latest, where the policy gives it a short one.
    const until = Math.min(now + USED_FOR_MS, now + (issued.notAfter.getTime() - now) / 2);
    return {
      authority: {
        certificate: issued.certificate,
        chain: [hierarchy.certificates.operational, ...hierarchy.newWithOld],
        signer,
      },
      until,
    };
  }
}
