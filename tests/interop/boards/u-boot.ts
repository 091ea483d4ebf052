import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const KERNEL = fileURLToPath(new URL('kernel.c', import.meta.url));
/** QEMU's board `virt` with a Cortex-A15, which has 256 MiB of memory from 0x40000000. */
// Without a network card: that would want a ROM of another package.
const BOARD = ['-cpu', 'cortex-a15', '-m', '256', '-net', 'none'];
const FIRST_IMAGE = 0x4400_0000;
const BETWEEN_IMAGES = 0x10_0000;
const PROMPT = '\n=> ';
/** For a machine with much else to do: none of it takes a second of a processor. */
const LONGEST_WAIT_MS = 300_000;

/** Where the kernel of the tests is loaded and started. */
export const KERNEL_AT = '0x42000000';

/** Builds it: a raw binary for the board. */
export function buildKernel(directory: string, name: string): void {
  const flags = ['-mcpu=cortex-a15', '-marm', '-O1', '-ffreestanding', '-fpie', '-nostdlib'];
  const link = ['-Wl,--build-id=none', `-Wl,-Ttext=${KERNEL_AT}`, '-Wl,-e,start'];
  execFileSync('arm-none-eabi-gcc', [...flags, ...link, '-o', `${name}.elf`, KERNEL], { cwd: directory });
  execFileSync('arm-none-eabi-objcopy', ['-O', 'binary', `${name}.elf`, name], { cwd: directory });
}

/**
 * Writes the control device tree of a board that trusts what `anchors` (source of an overlay) says: QEMU's own, with that
 * put on it as whoever builds the board would. U-Boot is told by it to wait for commands at once.
 */
export function controlTree(directory: string, anchors: string, name: string): void {
  const run = (command: string, ...args: string[]): unknown =>
    execFileSync(command, args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  run('qemu-system-arm', '-machine', 'virt,dumpdtb=board.dtb', ...BOARD, '-display', 'none');
  writeFileSync(
    join(directory, 'console.dts'),
    '/dts-v1/; /plugin/; / { fragment-console { target-path = "/"; __overlay__ { config { bootdelay = <(-1)>; }; }; }; };',
  );
  writeFileSync(join(directory, 'anchors.dts'), anchors);
  for (const overlay of ['console', 'anchors'])
    run('dtc', '-q', '-O', 'dtb', '-o', `${overlay}.dtbo`, `${overlay}.dts`);
  run('fdtoverlay', '-i', 'board.dtb', '-o', name, 'console.dtbo', 'anchors.dtbo');
}

/** U-Boot as Debian builds it, on QEMU's board, at its console. */
export class UBoot implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #addresses: ReadonlyMap<string, number>;
  #printed = '';
  #off = false;
  #heard: () => void = () => {};

  private constructor(child: ChildProcess, addresses: ReadonlyMap<string, number>) {
    this.#child = child;
    this.#addresses = addresses;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (piece: Buffer) => {
        this.#printed += piece.toString('latin1').replaceAll('\r', '');
        this.#heard();
      });
    // All that was printed has come by then.
    child.on('close', () => {
      this.#off = true;
      this.#heard();
    });
  }

  /**
   * Turns the board on, and is at the prompt.
   * @param tree the control device tree. @param images files that stand in memory, as if they had been loaded from a disk.
   */
  static async on(directory: string, tree: string, images: readonly string[]): Promise<UBoot> {
    const addresses = new Map(images.map((name, index) => [name, FIRST_IMAGE + index * BETWEEN_IMAGES]));
    const loaded = [...addresses].flatMap(([file, address]) => [
      '-device',
      `loader,file=${file},addr=0x${address.toString(16)},force-raw=on`,
    ]);
    const firmware = ['-bios', '/usr/lib/u-boot/qemu_arm/u-boot.bin', '-dtb', tree];
    const serial = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio'];
    const args = ['-machine', 'virt', ...BOARD, ...serial, ...firmware, ...loaded];
    const board = new UBoot(spawn('qemu-system-arm', args, { cwd: directory }), addresses);
    try {
      await board.#until((text) => text.endsWith(PROMPT));
      return board;
    } catch (error) {
      await board[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What U-Boot prints until it asks for the next command. @throws Error where the board is turned off before. */
  async says(command: string): Promise<string> {
    this.#type(command);
    const printed = await this.#until((text) => text.endsWith(PROMPT));
    return printed.slice(0, -PROMPT.length);
  }

  /** What is printed from a command until the board is off, or U-Boot asks for another: it did not boot. */
  async boots(command: string): Promise<string> {
    this.#type(command);
    return this.#until((text) => this.#off || text.endsWith(PROMPT));
  }

  /** The address of an image, as commands take it. */
  at(image: string): string {
    const address = this.#addresses.get(image);
    if (address === undefined) throw new RangeError(`no image ${image}`);
    return `0x${address.toString(16)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#off) return;
    const off = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await off;
  }

  #type(command: string): void {
    this.#printed = '';
    this.#child.stdin?.write(`${command}\n`);
  }

  async #until(enough: (text: string) => boolean): Promise<string> {
    const late = AbortSignal.timeout(LONGEST_WAIT_MS);
    while (!enough(this.#printed)) {
      if (this.#off || late.aborted) {
        throw new Error(`U-Boot ${late.aborted ? 'is silent' : 'is off'} after:\n${this.#printed}`);
      }
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return this.#printed;
  }
}
