import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { KeysteadError } from '@keystead/core/errors';

/** What the operating system says about this process's network. */
export interface NetworkState {
  /** Interfaces other than loopback that are up, with why that is known. */
  readonly interfaces: readonly string[];
  /** Routes over which something could leave, as `destination via interface`. */
  readonly routes: readonly string[];
}

export type NetworkReader = () => NetworkState;

/** Reads one of the kernel's tables; a test gives its own. */
export type TableReader = (path: string) => string;

/**
 * Reads the network of this process's own network namespace from the kernel (Linux).
 *
 * Which interfaces are up cannot be read from /sys/class/net: it shows the namespace in which sysfs was
 * mounted, not ours. /proc/net is ours. An interface that is up is a member of 224.0.0.1 (RFC 1112 section
 * 4) and so stands in /proc/net/igmp, even when it has no address.
 * @throws KeysteadError `ceremony.network-unknown` where the kernel does not tell: not to know is no reason to go on.
 */
export function readNetwork(
  read: TableReader = (path) => readFileSync(path, 'latin1'),
  addresses: () => string[] = () => Object.keys(networkInterfaces()),
): NetworkState {
  const table = (path: string): string[] => {
    try {
      return read(path).split('\n');
    } catch (cause) {
      throw new KeysteadError('ceremony.network-unknown', { field: path, cause });
    }
  };
  // A kernel without IPv6 has no such table, and then no such route.
  const optionalTable = (path: string): string[] => {
    try {
      return table(path);
    } catch (error) {
      const cause = error instanceof KeysteadError ? error.cause : undefined;
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
      throw error;
    }
  };
  const fields = (lines: string[]) => lines.map((line) => line.trim().split(/\s+/));
  const up = new Set<string>(addresses());
  // "4  eth0  :  1  V3": the lines of interfaces begin with an index, those of their groups with a tab.
  for (const line of table('/proc/net/igmp')) {
    const name = /^\d+\s+(\S+?)\s*:/.exec(line)?.[1];
    if (name !== undefined) up.add(name);
  }
  for (const row of fields(optionalTable('/proc/net/if_inet6'))) if (row[5] !== undefined) up.add(row[5]);
  up.delete('lo');
  const routes: string[] = [];
  // proc(5): Iface Destination Gateway …, addresses as little-endian hex. The local table is not in here.
  for (const [device, destination, gateway] of fields(table('/proc/net/route')).slice(1)) {
    if (device === undefined || destination === undefined || gateway === undefined) continue;
    routes.push(`${destination === '00000000' ? 'default' : ipv4(destination)} via ${device}`);
  }
  // destination, length, source, length, next hop, metric, references, uses, flags, device. Loopback's own
  // entries (also the 'unreachable' default that every namespace has) lead nowhere.
  for (const row of fields(optionalTable('/proc/net/ipv6_route'))) {
    const [destination, length] = row;
    const device = row[9];
    if (destination === undefined || length === undefined || device === undefined || device === 'lo') continue;
    routes.push(
      `${/^0+$/.test(destination) && length === '00' ? 'default' : `${ipv6(destination)}/${parseInt(length, 16)}`} via ${device}`,
    );
  }
  return { interfaces: [...up].sort(), routes };
}

/** Whether nothing but loopback is there. */
export const isOffline = ({ interfaces, routes }: NetworkState): boolean =>
  interfaces.length === 0 && routes.length === 0;

/** The state in words, for the transcript and for people. */
export function describeNetwork(state: NetworkState): string {
  const { interfaces, routes } = state;
  if (isOffline(state)) return 'no interface is up and no route exists';
  const shown = routes.length > 4 ? [...routes.slice(0, 4), `and ${routes.length - 4} more`] : routes;
  return `interfaces up: ${interfaces.join(', ') || 'none'}; routes: ${shown.join(', ') || 'none'}`;
}

const ipv4 = (hex: string): string => [6, 4, 2, 0].map((at) => parseInt(hex.slice(at, at + 2), 16)).join('.');
const ipv6 = (hex: string): string => (hex.match(/.{4}/g) ?? []).join(':');
