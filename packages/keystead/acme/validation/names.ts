import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { KeysteadError } from '@keystead/core/errors';

/** No host that is meant has more. */
const MOST_ADDRESSES = 16;
/** More records than that at one name are somebody's mistake. */
const MOST_TEXTS = 64;
const TIMEOUT_MS = 2_000;
const TRIES = 2;

/** How names are looked up: at the DNS servers of the settings, or as the system does. */
export class Names {
  readonly #resolvers: readonly string[];

  constructor(resolvers: readonly string[]) {
    this.#resolvers = resolvers;
  }

  /** The addresses of a host; of an address itself. @throws KeysteadError `acme.dns`. */
  async addresses(host: string): Promise<string[]> {
    if (isIP(host) !== 0) return [host];
    const found = this.#resolvers.length === 0 ? await this.#bySystem(host) : await this.#byResolver(host);
    if (found.length === 0) throw new KeysteadError('acme.dns', { field: host, seen: 'no address' });
    return found.slice(0, MOST_ADDRESSES);
  }

  /** The TXT records of a name, each in one piece. @throws KeysteadError `acme.dns`. */
  async texts(name: string): Promise<string[]> {
    try {
      const records = await this.#resolver().resolveTxt(name);
      return records.slice(0, MOST_TEXTS).map((parts) => parts.join(''));
    } catch (cause) {
      throw failed(name, cause);
    }
  }

  async #bySystem(host: string): Promise<string[]> {
    try {
      return (await lookup(host, { all: true })).map(({ address }) => address);
    } catch (cause) {
      throw failed(host, cause);
    }
  }

  async #byResolver(host: string): Promise<string[]> {
    const resolver = this.#resolver();
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const [first] = answers;
    if (found.length === 0 && first?.status === 'rejected') throw failed(host, first.reason);
    return found;
  }

  #resolver(): Resolver {
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (this.#resolvers.length > 0) resolver.setServers([...this.#resolvers]);
    return resolver;
  }
}

function failed(name: string, cause: unknown): KeysteadError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error';
  return new KeysteadError('acme.dns', { field: name, seen: code, cause });
}
