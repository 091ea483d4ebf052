import { readCertificate } from '@keystead/core/x509';
import type { Logger } from 'pino';
import { RestClient } from '../client/rest.ts';
import type { NewsView } from '../protocols/rest/reconciliation.ts';
import { HeadquartersNews } from './headquarters-news.ts';
import type { Rooms } from './rooms.ts';

export interface LinkOptions {
  /** For example `https://hq.example:8443`. */
  readonly headquarters: string;
  /** PEM: what headquarters' TLS certificate must lead to. */
  readonly root: string;
  readonly log: Logger;
}

/** Begins to ask headquarters, at a factory node; undefined where this is none. @returns what ends it. */
export function startHeadquartersNews(
  rooms: Rooms,
  { headquarters, root, log }: LinkOptions,
): { close(): Promise<void> } | undefined {
  const { factory } = rooms.hierarchy;
  if (factory === undefined) return undefined;
  const { layout, keyd } = rooms;
  const client = new RestClient({ baseUrl: headquarters, anchor: root });
  const news = new HeadquartersNews({
    ...{ rooms, keyd, layout, log, factory: factory.name },
    evidence: readCertificate(factory.headquartersEvidence).spki,
    ask: (body) => client.post<NewsView>(`/api/v1/factories/${factory.name}/news`, body),
  });
  news.start();
  return {
    async close() {
      client.close();
      await news.close();
    },
  };
}
