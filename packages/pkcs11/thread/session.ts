import { isUtf8 } from 'node:buffer';
import { KeysteadError } from '@keystead/core/errors';
import type { Handle, ModuleInfo, PKCS11, TokenInfo, Version } from 'pkcs11js';
import type { Pkcs11Configuration } from '../configuration.ts';
import {
  CKF_OS_LOCKING_OK,
  CKF_RW_SESSION,
  CKF_SERIAL_SESSION,
  CKF_TOKEN_INITIALIZED,
  CKF_USER_PIN_COUNT_LOW,
  CKF_USER_PIN_FINAL_TRY,
  CKF_USER_PIN_INITIALIZED,
  CKF_USER_PIN_LOCKED,
  CKS_USER,
  CKU_USER,
} from '../cryptoki.ts';
import { isRefusedLogin, refusalError, repetitions } from '../errors.ts';
import type { TokenFacts } from '../orders.ts';
import { CallRefused, call, loadModule } from './addon.ts';

interface FoundToken {
  readonly slot: Handle;
  readonly info: TokenInfo;
}

/** One session of one thread with the token. */
export class TokenSession {
  readonly config: Pkcs11Configuration;
  /** Of keys, by CKA_ID (hex): valid as long as the session is. */
  readonly handles = new Map<string, Handle>();
  #module: PKCS11 | undefined;
  #session: Handle | undefined;

  constructor(config: Pkcs11Configuration) {
    this.config = config;
  }

  /** @throws KeysteadError `keystore.module-*`, `keystore.pkcs11-unavailable`. */
  get module(): PKCS11 {
    this.#module ??= loadModule(this.config.module);
    return this.#module;
  }

  /** @throws CallRefused as a token does that has lost it. */
  get session(): Handle {
    if (this.#session !== undefined) return this.#session;
    throw new CallRefused({ ckr: 'CKR_SESSION_HANDLE_INVALID', call: 'no call' });
  }

  /**
   * Initialises the module unless this process has, finds the token where it is now, opens a session and logs in,
   * unless another session of this process is logged in: login is the process's, not the session's (PKCS#11 v2.40
   * section 2.6 of the usage guide). The PIN is tried at most once, and not when that could lock it.
   * @param serial of the token that was opened before: another that goes by the same name gets no PIN.
   * @throws KeysteadError `keystore.token-*`, `keystore.pin-*`, `keystore.module-*`. @throws CallRefused.
   */
  open(pin: Uint8Array, readWrite: boolean, serial?: string): TokenFacts {
    this.closeSession();
    this.#initialize();
    const { module } = this;
    const { slot, info } = this.#findToken(serial);
    const flags = CKF_SERIAL_SESSION | (readWrite ? CKF_RW_SESSION : 0);
    const session = call('C_OpenSession', () => module.C_OpenSession(slot, flags));
    this.#session = session;
    const { state } = call('C_GetSessionInfo', () => module.C_GetSessionInfo(session));
    const loggedInBefore = CKS_USER.includes(state) || !this.#login(slot, info.flags, pin);
    return {
      ...factsOf(
        info,
        call('C_GetInfo', () => module.C_GetInfo()),
      ),
      loggedInBefore,
    };
  }

  /** Forgets the session; a token that has lost it already does not matter. */
  closeSession(): void {
    const session = this.#session;
    this.#session = undefined;
    this.handles.clear();
    if (session === undefined) return;
    try {
      this.module.C_CloseSession(session);
    } catch {
      // It is gone, which is what was wanted.
    }
  }

  /** Ends every session of this process on the module; one that is not initialised is in order. */
  finalize(): void {
    this.#session = undefined;
    this.handles.clear();
    try {
      this.module.C_Finalize();
    } catch {
      // Not initialised, or beyond help: C_Initialize tells.
    }
  }

  #initialize(): void {
    try {
      call('C_Initialize', () => this.module.C_Initialize({ flags: CKF_OS_LOCKING_OK }));
    } catch (error) {
      if (!(error instanceof CallRefused)) throw error;
      const { ckr, call: name } = error.refusal;
      if (ckr === 'CKR_CRYPTOKI_ALREADY_INITIALIZED') return;
      throw new KeysteadError('keystore.module-unusable', { field: 'module', seen: `${ckr} of ${name}` });
    }
  }

  #findToken(serial: string | undefined): FoundToken {
    const found: FoundToken[] = [];
    const others: string[] = [];
    for (const slot of call('C_GetSlotList', () => this.module.C_GetSlotList(true))) {
      const info = this.#tokenIn(slot);
      if (info === undefined) continue;
      const isNamed = this.#isWanted(slot, info);
      const own = info.serialNumber.trimEnd();
      if (isNamed && (serial === undefined || own === serial)) found.push({ slot, info });
      else if (isNamed) others.push(`another one of that name, serial ${own} and not ${serial}`);
      else if ((info.flags & CKF_TOKEN_INITIALIZED) !== 0) others.push(info.label.trimEnd());
    }
    const [token, second] = found;
    const wanted = Object.entries(this.config.token).flat().join(' ');
    if (token === undefined) {
      const seen = others.length === 0 ? 'no token' : `only: ${others.slice(0, 8).join(', ')}`;
      throw new KeysteadError('keystore.token-absent', { field: `token ${wanted}`, seen });
    }
    if (second !== undefined) {
      throw new KeysteadError('keystore.token-ambiguous', {
        field: `token ${wanted}`,
        seen: `serials ${found.map(({ info }) => info.serialNumber.trimEnd()).join(', ')}`,
      });
    }
    if ((token.info.flags & CKF_TOKEN_INITIALIZED) !== 0) return token;
    throw new KeysteadError('keystore.token-absent', { field: `token ${wanted}`, seen: 'a token not initialised' });
  }

  /** A slot whose token goes away while the slots are listed is as one without. */
  #tokenIn(slot: Handle): TokenInfo | undefined {
    try {
      return call('C_GetTokenInfo', () => this.module.C_GetTokenInfo(slot));
    } catch (error) {
      if (error instanceof CallRefused) return undefined;
      throw error;
    }
  }

  #isWanted(slot: Handle, info: TokenInfo): boolean {
    const { token } = this.config;
    if ('label' in token) {
      return (info.flags & CKF_TOKEN_INITIALIZED) !== 0 && info.label.trimEnd() === token.label;
    }
    return 'serial' in token ? info.serialNumber.trimEnd() === token.serial : slotNumber(slot) === BigInt(token.slot);
  }

  /**
   * Each wrong attempt costs one of the few that there are; see the remedies of `keystore.pin-*`.
   * @returns whether the token has taken this PIN; it has not looked at it where the process was logged in.
   */
  #login(slot: Handle, flags: number, pin: Uint8Array): boolean {
    const refuse = (code: 'keystore.pin-locked' | 'keystore.pin-final-try' | 'keystore.pin-unset'): never => {
      throw new KeysteadError(code, { field: 'PIN', seen: `${counterIn(flags)}; the PIN was not tried` });
    };
    if ((flags & CKF_USER_PIN_LOCKED) !== 0) refuse('keystore.pin-locked');
    if ((flags & CKF_USER_PIN_INITIALIZED) === 0) refuse('keystore.pin-unset');
    // A supervisor that restarts a service with a wrong PIN would lock the token by itself.
    if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0) refuse('keystore.pin-final-try');
    const bytes = Buffer.from(pin.buffer, pin.byteOffset, pin.length);
    if (!isUtf8(bytes)) {
      throw new KeysteadError('keystore.pin-incorrect', { field: 'PIN', seen: 'no UTF-8; the PIN was not tried' });
    }
    try {
      // The addon takes a string and no bytes: this one, and its copy in the addon, cannot be wiped (docs/memory.md).
      call('C_Login', () => this.module.C_Login(this.session, CKU_USER, bytes.toString('utf8')));
      return true;
    } catch (error) {
      if (!(error instanceof CallRefused)) throw error;
      if (error.refusal.ckr === 'CKR_USER_ALREADY_LOGGED_IN') return false;
      throw this.#refusedLogin(error, slot, flags);
    }
  }

  /**
   * What C_Login was refused with is the PIN's fault, and final, unless it says that the token is away. Who says that, and
   * counts an attempt all the same, has looked at the PIN.
   */
  #refusedLogin(thrown: CallRefused, slot: Handle, before: number): Error {
    const now = this.#tokenIn(slot)?.flags;
    const isCounted = now !== undefined && (now & ~before & SPENT) !== 0;
    if (repetitions(thrown.refusal) > 0 && !isCounted) return thrown;
    const error = refusalError(thrown.refusal, 'PIN', now === undefined ? undefined : counterIn(now));
    if (isRefusedLogin(error)) return error;
    return new KeysteadError('keystore.pin-incorrect', {
      field: 'PIN',
      seen: error.seen,
      remedy:
        "see the token's own log for what it refused; nothing is tried again by itself, since it may cost an attempt",
    });
  }
}

/** The token's words for an attempt that was spent. */
const SPENT = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;

/** What is left of the attempts: PKCS#11 has three words for it and no number. */
function counterIn(flags: number): string {
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) return 'the token says that the PIN is locked';
  if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0) return 'the token says that one attempt is left';
  if ((flags & CKF_USER_PIN_COUNT_LOW) !== 0)
    return 'the token says that attempts were spent and more than one is left';
  return 'the token says nothing of attempts spent';
}

/** CK_SLOT_ID is an unsigned long of the machine. */
function slotNumber(slot: Handle): bigint {
  return slot.length === 8 ? slot.readBigUInt64LE() : BigInt(slot.readUInt32LE());
}

const version = ({ major, minor }: Version): string => `${major}.${minor}`;

function factsOf(token: TokenInfo, module: ModuleInfo): Omit<TokenFacts, 'loggedInBefore'> {
  return {
    token: {
      label: token.label.trimEnd(),
      serialNumber: token.serialNumber.trimEnd(),
      manufacturerID: token.manufacturerID.trimEnd(),
      model: token.model.trimEnd(),
      firmwareVersion: version(token.firmwareVersion),
      hardwareVersion: version(token.hardwareVersion),
    },
    module: {
      libraryDescription: module.libraryDescription.trimEnd(),
      libraryVersion: version(module.libraryVersion),
      cryptokiVersion: version(module.cryptokiVersion),
    },
  };
}
