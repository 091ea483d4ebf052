import { secureHeapUsed } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isOffline, readNetwork } from './network.ts';

/** What stands between this process and the rest of the machine, as the kernel tells the process itself. */
export interface Isolation {
  readonly uid: number;
  /** Whether it holds any capability, as root does. */
  readonly capabilities: boolean;
  /** PR_SET_NO_NEW_PRIVS: no program that it starts has more rights than it has. */
  readonly noNewPrivileges: boolean;
  /** `none`: nothing but loopback in its network namespace. `unknown`: the kernel did not tell. */
  readonly network: 'none' | 'present' | 'unknown';
  /** `off`: none is made. `empty`: one may be made, without memory. `on`: one may hold memory, and so keys. */
  readonly coreDumps: 'off' | 'empty' | 'on';
  /** `locked`: the private keys lie in OpenSSL's secure heap, and that is locked. It says nothing of other memory. */
  readonly keyMemory: 'locked' | 'not locked';
  /** Whether its memory may be written to a swap device. */
  readonly swap: 'none' | 'forbidden' | 'possible' | 'unknown';
}

/** Reads a file of /proc or /sys; undefined when it is not there. */
export type KernelReader = (path: string) => string | undefined;

/** Looks at this process. Nothing of it fails: what cannot be seen is said to be so, or taken for the worse. */
export function readIsolation(read: KernelReader = readKernel): Isolation {
  const status = read('/proc/self/status') ?? '';
  return {
    uid: process.getuid?.() ?? 0,
    capabilities: !/^CapEff:\s*0+$/m.test(status) || !/^CapPrm:\s*0+$/m.test(status),
    noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(status),
    network: networkOf(),
    coreDumps: coreDumpsOf(read),
    keyMemory: keyMemoryOf(status),
    swap: swapOf(read),
  };
}

function networkOf(): Isolation['network'] {
  try {
    return isOffline(readNetwork()) ? 'none' : 'present';
  } catch {
    return 'unknown';
  }
}

/**
 * core(5): a process that is not dumpable leaves none. A limit of 0 keeps a file from being written, but a handler
 * behind a pipe is called all the same; then the filter says that it gets no memory.
 */
function coreDumpsOf(read: KernelReader): Isolation['coreDumps'] {
  const [, hard] = /^Max core file size\s+(\S+)\s+(\S+)/m.exec(read('/proc/self/limits') ?? '')?.slice(1) ?? [];
  const piped = read('/proc/sys/kernel/core_pattern')?.startsWith('|') ?? true;
  if (!isDumpable() || (hard === '0' && !piped)) return 'off';
  return /^0+$/.test((read('/proc/self/coredump_filter') ?? '').trim()) ? 'empty' : 'on';
}

/** proc(5): the files of a process that is not dumpable belong to root. Of root's own processes it cannot be told. */
function isDumpable(): boolean {
  try {
    return statSync('/proc/self/status').uid === process.getuid?.();
  } catch {
    return true;
  }
}

function keyMemoryOf(status: string): Isolation['keyMemory'] {
  const { total } = secureHeapUsed() ?? { total: 0 };
  const locked = Number(/^VmLck:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  return total > 0 && locked >= total ? 'locked' : 'not locked';
}

function swapOf(read: KernelReader): Isolation['swap'] {
  const swaps = read('/proc/swaps');
  if (swaps === undefined) return 'unknown';
  if (swaps.trim().split('\n').length < 2) return 'none';
  const group = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1];
  const most = group === undefined ? undefined : read(`/sys/fs/cgroup${group}/memory.swap.max`)?.trim();
  return most === '0' ? 'forbidden' : 'possible';
}

function readKernel(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
