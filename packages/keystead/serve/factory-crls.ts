import { type CrlAnswer, fetchCrl } from '@keystead/agent';
import type { DerCrl } from '@keystead/core/bytes';
import { crlUrls } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { KeydClient } from '../keyd-client/index.ts';
import { crlAddresses } from './factory-role.ts';
import type { Rooms } from './rooms.ts';

export interface HearingParts {
  readonly rooms: Pick<Rooms, 'hierarchy' | 'policy' | 'clock'>;
  readonly keyd: Pick<KeydClient, 'takeCrls' | 'status'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Fetches a CRL over HTTP; a test gives its own. */
  readonly get?: (url: string, etag: string | undefined) => Promise<CrlAnswer>;
}

/** How often headquarters is asked, where nothing is due sooner. */
const EVERY_MS = 5 * 60 * 1000;

/**
 * Fetches the CRLs of headquarters while there is a link, and hands them to keyd, which alone judges them. A link that is
 * down is no fault: it is tried again, and keyd says when it has been down for too long. REQ-KEY-PROV-01
 * @returns `once`, which asks now, and what ends it.
 */
export function hearHeadquarters({ rooms, keyd, log, get = (url, etag) => fetchCrl(url, etag) }: HearingParts): {
  once(): Promise<{ readonly fresh: readonly string[]; readonly failed: readonly string[] }>;
  stop(): void;
} {
  const { hierarchy } = rooms;
  const etags = new Map<string, string>();
  let last = '';
  const once = async () => {
    const fresh: string[] = [];
    const failed: string[] = [];
    const { factory, certificates } = hierarchy;
    if (factory === undefined) return { fresh, failed };
    for (const url of crlAddresses(factory, certificates, crlUrls(rooms.policy, 'operator').crl)) {
      try {
        const answer = await get(url, etags.get(url));
        if ('unchanged' in answer) continue;
        fresh.push(...(await keyd.takeCrls({ crls: [answer.der as DerCrl] })).fresh);
        if (answer.etag !== undefined) etags.set(url, answer.etag);
      } catch (error) {
        failed.push(`${url}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    // Once for each change: a link that is down for a day is not news every five minutes.
    const told = failed.join('; ');
    if (told !== last && failed.length > 0) log.warn({ failed }, 'headquarters could not be heard; it is tried again');
    if (fresh.length > 0) log.info({ fresh }, 'newer CRLs of headquarters');
    last = told;
    return { fresh, failed };
  };
  const timer = setInterval(() => void once(), EVERY_MS);
  void once();
  return { once, stop: () => clearInterval(timer) };
}
