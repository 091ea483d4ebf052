import { BlockList, isIP } from 'node:net';
import { KeysteadError } from '@keystead/core/errors';

/** Never looked at, whatever the configuration allows: this host by no name, link-local (cloud metadata), multicast. */
const NEVER = ['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32', '::/128', 'fe80::/10', 'ff00::/8'];

/** The addresses at which a challenge may be validated: a stranger's order must not make serve knock at any door. */
export class AllowedNetworks {
  readonly #allowed: BlockList;
  readonly #never: BlockList;

  /** @param networks as `10.0.0.0/8`; their form was checked when the settings were read. */
  constructor(networks: readonly string[]) {
    this.#allowed = listOf(networks);
    this.#never = listOf(NEVER);
  }

  /** Those of `addresses` that may be looked at. @throws KeysteadError `acme.network-forbidden` when none may. */
  require(addresses: readonly string[], name: string): string[] {
    const allowed = addresses.filter((address) => this.#allows(address));
    if (allowed.length > 0) return allowed;
    throw new KeysteadError('acme.network-forbidden', { field: name, seen: addresses.slice(0, 4).join(', ') });
  }

  #allows(address: string): boolean {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    // An IPv4 address in IPv6's clothes is judged by the rules for IPv4: BlockList does that.
    return isIP(address) !== 0 && this.#allowed.check(address, family) && !this.#never.check(address, family);
  }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/');
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
