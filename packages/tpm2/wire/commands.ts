/** How long a TPM may take: making an RSA key, or testing itself, takes minutes on some (PC Client PTP section 6.5.1.3). */
type Duration = 'usual' | 'long';

export interface CommandRow {
  /** TPM_CC (Part 2 section 6.5.2). */
  readonly code: number;
  /** Handles in the command (Part 3); how many of them are authorized. */
  readonly handles: number;
  readonly authorized: number;
  /** Whether a handle stands before the parameters of the answer. */
  readonly answersHandle?: true;
  readonly duration?: Duration;
}

/** The commands that Keystead uses, as Part 3 has them; the section is that of rev. 1.59. */
export const COMMANDS = {
  Startup: { code: 0x144, handles: 0, authorized: 0 }, // 9.3
  Shutdown: { code: 0x145, handles: 0, authorized: 0 }, // 9.4
  StartAuthSession: { code: 0x176, handles: 2, authorized: 0, answersHandle: true }, // 11.1
  PolicyRestart: { code: 0x180, handles: 1, authorized: 0 }, // 11.2
  Create: { code: 0x153, handles: 1, authorized: 1, duration: 'long' }, // 12.1
  Load: { code: 0x157, handles: 1, authorized: 1, answersHandle: true }, // 12.2
  LoadExternal: { code: 0x167, handles: 0, authorized: 0, answersHandle: true }, // 12.3
  ReadPublic: { code: 0x173, handles: 1, authorized: 0 }, // 12.4
  ActivateCredential: { code: 0x147, handles: 2, authorized: 2 }, // 12.5
  MakeCredential: { code: 0x168, handles: 1, authorized: 0 }, // 12.6
  Unseal: { code: 0x15e, handles: 1, authorized: 1 }, // 12.7
  EcdhZGen: { code: 0x154, handles: 1, authorized: 1 }, // 14.5
  GetRandom: { code: 0x17b, handles: 0, authorized: 0 }, // 16.1
  Certify: { code: 0x148, handles: 2, authorized: 2 }, // 18.2
  Quote: { code: 0x158, handles: 1, authorized: 1 }, // 18.4
  Sign: { code: 0x15d, handles: 1, authorized: 1 }, // 20.2
  PcrExtend: { code: 0x182, handles: 1, authorized: 1 }, // 22.2
  PcrRead: { code: 0x17e, handles: 0, authorized: 0 }, // 22.4
  PolicySecret: { code: 0x151, handles: 2, authorized: 1 }, // 23.4
  PolicyPcr: { code: 0x17f, handles: 1, authorized: 0 }, // 23.7
  PolicyGetDigest: { code: 0x189, handles: 1, authorized: 0 }, // 23.19
  CreatePrimary: { code: 0x131, handles: 1, authorized: 1, answersHandle: true, duration: 'long' }, // 24.1
  Clear: { code: 0x126, handles: 1, authorized: 1, duration: 'long' }, // 24.6
  DictionaryAttackLockReset: { code: 0x139, handles: 1, authorized: 1 }, // 25.2
  DictionaryAttackParameters: { code: 0x13a, handles: 1, authorized: 1 }, // 25.3
  FlushContext: { code: 0x165, handles: 0, authorized: 0 }, // 28.4: its handle is a parameter
  EvictControl: { code: 0x120, handles: 2, authorized: 1 }, // 28.5
  GetCapability: { code: 0x17a, handles: 0, authorized: 0 }, // 30.2
  NvUndefineSpace: { code: 0x122, handles: 2, authorized: 1 }, // 31.4
  NvDefineSpace: { code: 0x12a, handles: 1, authorized: 1 }, // 31.3
  NvWrite: { code: 0x137, handles: 2, authorized: 1 }, // 31.7
  NvIncrement: { code: 0x134, handles: 2, authorized: 1 }, // 31.8
  NvReadPublic: { code: 0x169, handles: 1, authorized: 0 }, // 31.6
  NvRead: { code: 0x14e, handles: 2, authorized: 1 }, // 31.13
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof COMMANDS;

/** Milliseconds that are waited for an answer. */
export const TIMEOUT_MS: Readonly<Record<Duration, number>> = { usual: 30_000, long: 300_000 };
