export { connectMutual, type Destination, expectedAt, stapledTo } from './connect.ts';
export { CrlCache, type CrlCacheOptions } from './crl-cache.ts';
export { type CrlAnswer, type CrlFetchOptions, fetchCrl } from './crl-fetch.ts';
export { type HttpAnswer, HttpOverTls, type HttpRequest } from './http.ts';
export { type HttpFile, type HttpGetOptions, httpGet } from './http-get.ts';
export {
  OcspClient,
  type OcspOptions,
  type Revocation,
  responderInCertificate,
  STAPLED_ONLY,
  type StatusSource,
} from './ocsp-client.ts';
export { clientTlsOptions, createTlsServer, type TlsIdentity } from './options.ts';
export {
  type ExpectedPeer,
  PEER_RULES,
  type PeerRule,
  type PeerRules,
  type PeerVerdict,
  peerCertificates,
  verifyPeer,
} from './peer.ts';
export { OcspStapler, type StaplerOptions, stapledAnswer } from './stapling.ts';
