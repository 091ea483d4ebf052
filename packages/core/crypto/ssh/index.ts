export {
  formatSshPublicKey,
  parseSshPublicKey,
  readSshPublicKey,
  type SshKeyType,
  type SshPublicKey,
  sshFingerprint,
  sshKeyBlob,
} from './public-key.ts';
export type { SecurityKeyFacts, SshSignature } from './signature.ts';
export {
  formatSshSig,
  readSshSig,
  readSshSigBlob,
  readSshSigSubject,
  type SshSig,
  type SshSigHash,
  type SshSigSubject,
  type SshSigVerdict,
  sshSigSubject,
  verifySshSig,
  verifySshSigDigest,
} from './sshsig.ts';
export { SshReader, sshMpint, sshString } from './wire.ts';
